"""When to warn about a peer that does not answer."""

from __future__ import annotations

from headrace.protocol.silence_warnings import SilenceWarnings


def test_warnings_come_soon_and_then_ever_more_rarely() -> None:
    warnings = SilenceWarnings(["ingest", "control"], 0.0)
    warned = [t for t in range(4000) if warnings.take_due(float(t))]
    assert warned == [4, 12, 36, 108, 324, 924, 1524, 2124, 2724, 3324, 3924]


def test_only_the_silent_endpoints_are_named() -> None:
    warnings = SilenceWarnings(["ingest", "control"], 0.0)
    for t in range(1, 6):
        warnings.note_contact("control", float(t))
    assert warnings.take_due(5.0) == ["ingest"]
    assert warnings.take_due(5.5) == []


def test_a_recovery_is_reported_once_and_the_next_silence_soon() -> None:
    warnings = SilenceWarnings(["ingest"], 0.0)
    assert not warnings.take_recovery(1.0), "nothing was reported"
    assert warnings.take_due(4.0)
    assert not warnings.take_recovery(5.0)
    warnings.note_contact("ingest", 6.0)
    assert warnings.take_recovery(6.0)
    assert not warnings.take_recovery(7.0)
    assert warnings.take_due(9.0) == []
    assert warnings.take_due(10.0) == ["ingest"]
