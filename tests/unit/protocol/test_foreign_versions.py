"""Messages of another wire version, stray ones and those of a peer that speaks no other."""

from __future__ import annotations

import pytest

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.foreign_versions import ForeignVersions

FOREIGN = RemoteProtocolError(RejectCode.UNSUPPORTED_VERSION, "wire version 2")


def test_a_peer_that_never_spoke_this_version_is_given_up() -> None:
    refusal = ForeignVersions().refusal(FOREIGN, 0.0)
    assert (refusal.code, refusal.reason) == (FOREIGN.code, FOREIGN.reason)


def test_a_stray_message_between_others_is_only_invalid() -> None:
    versions = ForeignVersions()
    versions.note_understood(10.0)
    with pytest.raises(RemoteProtocolError, match="wire version 2"):
        versions.refusal(FOREIGN, 11.0)


def test_a_peer_that_speaks_only_another_version_from_now_on_is_given_up() -> None:
    versions = ForeignVersions()
    versions.note_understood(10.0)
    assert versions.refusal(FOREIGN, 20.0).code is RejectCode.UNSUPPORTED_VERSION


def test_other_faults_are_only_invalid() -> None:
    with pytest.raises(RemoteProtocolError, match="half a header"):
        ForeignVersions().refusal(RemoteProtocolError(RejectCode.MALFORMED, "half a header"), 0.0)
