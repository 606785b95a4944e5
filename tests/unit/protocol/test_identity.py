from __future__ import annotations

from headrace.protocol.identity import PolicyVersion


def test_versions_are_ordered_by_epoch_before_number() -> None:
    assert PolicyVersion(2, 0) > PolicyVersion(1, 99)
    assert PolicyVersion(1, 2) > PolicyVersion(1, 1)


def test_a_version_prints_as_epoch_and_number() -> None:
    assert str(PolicyVersion(2, 17)) == "2.17"
