"""The one tree of errors.

    HeadraceError
    ├── ConfigError            the user's input cannot work; the message says what to write
    ├── RefusedError           a peer will not serve this process (carries a RejectCode)
    └── ProtocolError          abstract
        ├── LocalProtocolError     this side tried something illegal: a bug here, raise loudly
        └── RemoteProtocolError    the peer did: count it, answer it, continue

The split by fault is h11's (`h11._util`): a broker survives a bad peer because a peer's bytes can
only raise the last kind.
"""

from __future__ import annotations

from enum import StrEnum


class RejectCode(StrEnum):
    """Why a message, a batch or a process was turned away. The text of a code never changes."""

    MALFORMED = "malformed"
    UNKNOWN_KIND = "unknown_kind"
    UNSUPPORTED_VERSION = "unsupported_version"
    OVERSIZED = "oversized"
    INVALID_BATCH = "invalid_batch"
    WRONG_RUN = "wrong_run"
    UNEXPECTED_PURPOSE = "unexpected_purpose"
    SUPERSEDED = "superseded"
    POISON = "poison"
    UNKNOWN_SESSION = "unknown_session"
    LEARNER_EXISTS = "learner_exists"
    INVALID_POLICY = "invalid_policy"
    FORBIDDEN = "forbidden"
    TOO_MUCH = "too_much"
    QUARANTINED = "quarantined"
    UNKNOWN_EPISODE = "unknown_episode"
    INVALID_TURN = "invalid_turn"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> RejectCode | None:
        """Reads a code that a later release has added as OTHER."""
        return cls.OTHER if isinstance(value, str) else None


def first_line(error: object, longest: int = 300) -> str:
    """Returns the first line of another library's error, for a message of one sentence."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    text = repr(error) if isinstance(error, KeyError) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return shortened((lines[0] if lines else repr(error)).rstrip(".:"), longest)


def shortened(text: str, longest: int = 60) -> str:
    """Returns a text for a message, cut where it is longer than `longest` characters."""
    return text if len(text) <= longest else f"{text[:longest]}…"


class HeadraceError(Exception):
    """Base of every error that headrace raises on purpose."""


class ConfigError(HeadraceError):
    """Raised when a file, an option or an argument cannot work; says what to write instead."""


class RefusedError(HeadraceError):
    """Raised when a peer will not serve this process; a retry would not help.

    Attributes:
        code: the reason as a code, for the exit status.
        reason: the reason as a sentence.
        peer: the peer, for the message.
    """

    def __init__(self, code: RejectCode, reason: str, peer: str = "the broker") -> None:
        super().__init__(code, reason, peer)
        self.code = code
        self.reason = reason
        self.peer = peer

    def __str__(self) -> str:
        return f"refused by {self.peer} ({self.code}): {self.reason}"


class ProtocolError(HeadraceError):
    """Base of the two protocol errors; never raised itself."""


class LocalProtocolError(ProtocolError):
    """Raised when this side attempts something that the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """Raised when a peer's bytes are not a legal message.

    Attributes:
        code: for the answer to the peer.
        reason: one sentence that states the fault.
    """

    def __init__(self, code: RejectCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
