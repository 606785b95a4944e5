from __future__ import annotations

from headrace.protocol.spelling import nearest


def test_a_close_name_is_suggested() -> None:
    assert nearest("brokr", ["broker", "learner"]) == "did you mean 'broker'?"


def test_without_a_close_name_all_are_listed() -> None:
    assert nearest("zzz", ["learner", "broker"]) == "known: broker, learner"
