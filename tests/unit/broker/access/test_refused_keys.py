"""What a broker reports about the keys that it refuses."""

from __future__ import annotations

from headrace.broker.access.permissions import KeyPermissions, Peer
from headrace.broker.access.refused_keys import RefusedKeys

WALKER = Peer("W" * 40, "actor", "walker")
TRAINER = Peer("T" * 40, "learner", "trainer")
INVITED = KeyPermissions([WALKER, TRAINER])


def test_a_key_is_reported_once_with_its_address() -> None:
    refused = RefusedKeys()
    assert refused.report("X" * 40, "ingest", "10.0.0.9", INVITED) == (
        "refused a connection to ingest from 10.0.0.9: its key is not invited: revoked, or made "
        "for another broker"
    )
    assert refused.report("X" * 40, "control", "10.0.0.9", INVITED) is None
    assert refused.report("Y" * 40, "ingest", "10.0.0.9", INVITED) is not None


def test_a_peer_with_another_role_is_named() -> None:
    refused = RefusedKeys()
    assert "'walker' is invited as an actor" in str(
        refused.report(WALKER.key, "learner", "10.0.0.9", INVITED)
    )
    assert "'trainer' is invited as a learner" in str(
        refused.report(TRAINER.key, "ingest", "10.0.0.9", INVITED)
    )


def test_a_peer_that_was_revoked_is_named_until_it_is_invited_again() -> None:
    refused = RefusedKeys()
    left = KeyPermissions([TRAINER])
    refused.replace(INVITED, left)
    assert "the invitation of 'walker' was revoked" in str(
        refused.report(WALKER.key, "ingest", "10.0.0.9", left)
    )
    refused.replace(left, left)
    assert refused.report(WALKER.key, "ingest", "10.0.0.9", left) is not None


def test_endless_new_keys_do_not_fill_the_log() -> None:
    refused = RefusedKeys()
    keys = (f"{number:040}" for number in range(5000))
    reports = [refused.report(key, "ingest", "10.0.0.9", INVITED) for key in keys]
    assert sum(report is not None for report in reports) == 1000
