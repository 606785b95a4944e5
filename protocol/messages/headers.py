"""Encoding and decoding of header frames: total, bounded, and typed per endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import Count, Name
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits
from headrace.protocol.messages import (
    WIRE_VERSION,
    ControlMessage,
    FromLearner,
    Hello,
    IngestMessage,
    LearnerHello,
    Message,
    ToLearner,
    WeightsMessage,
)

AnyMessage = TypeVar("AnyMessage", bound=Message)
Frame = bytes | memoryview

_ENCODER = msgspec.msgpack.Encoder()
_MAP_16, _FIXMAP, _LONGEST_FIXMAP = 0xDE, 0x80, 15
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


class _Envelope(msgspec.Struct):
    kind: str
    wire: int


class _Sender(msgspec.Struct):
    actor: Name
    incarnation: Count


class _Session(msgspec.Struct):
    session: Count


_SESSION = msgspec.msgpack.Decoder(_Session)
_SENDER = msgspec.msgpack.Decoder(_Sender)
_ENVELOPE = msgspec.msgpack.Decoder(_Envelope)


def encode_header(message: Message) -> bytes:
    """Returns the header frame of `message`; its payload frames follow it."""
    header = _ENCODER.encode(message)
    # msgspec begins a struct of 16 fields or more as a long map, however few of them are set.
    if header[0] == _MAP_16 and header[1] == 0 and header[2] <= _LONGEST_FIXMAP:
        return bytes([_FIXMAP | header[2]]) + header[3:]
    return header


class MessageDecoder(Generic[AnyMessage]):
    """Decodes the messages that one endpoint carries in one direction."""

    def __init__(self, union: Any, limits: DecodeLimits = DEFAULT_LIMITS) -> None:
        self._decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(union)
        self._limits = limits

    def decode(self, frames: Sequence[Frame]) -> tuple[AnyMessage, Sequence[Frame]]:
        """Returns the message in a header frame, and the payload frames that follow it.

        Payloads are neither decoded nor measured here: an oversized one still has a sequence
        number, which must not block its actor.

        Raises:
            RemoteProtocolError: the frames are not a legal message of this endpoint.
        """
        if not frames:
            raise RemoteProtocolError(RejectCode.MALFORMED, "a message without frames")
        header, payloads = frames[0], frames[1:]
        if len(header) > self._limits.max_header_bytes:
            raise RemoteProtocolError(
                RejectCode.OVERSIZED,
                f"a header of {len(header)} bytes; the limit is {self._limits.max_header_bytes}",
            )
        try:
            message = self._decoder.decode(header)
        except _UNREADABLE as error:
            raise _explain(header, error) from error
        if message.wire != WIRE_VERSION and not _speaks_ours_too(message):
            raise _wrong_version(message.wire)
        if len(payloads) != message.payload_count:
            raise RemoteProtocolError(
                RejectCode.MALFORMED,
                f"{len(payloads)} payload frames; this kind has {message.payload_count}",
            )
        return message, payloads


def _explain(header: Frame, error: Exception) -> RemoteProtocolError:
    """Distinguishes a peer with another version from one that sends invalid bytes."""
    try:
        envelope = _ENVELOPE.decode(header)
    except _UNREADABLE:
        return RemoteProtocolError(RejectCode.MALFORMED, f"not a header: {error}")
    if envelope.wire != WIRE_VERSION:
        return _wrong_version(envelope.wire)
    if "$.kind" in str(error):
        return RemoteProtocolError(
            RejectCode.UNKNOWN_KIND, f"kind {envelope.kind[:64]!r} is unknown here"
        )
    return RemoteProtocolError(RejectCode.MALFORMED, f"a bad {envelope.kind[:64]!r}: {error}")


def _speaks_ours_too(message: Message) -> bool:
    """Hellos are read across versions: they carry the range that the peer supports."""
    if not isinstance(message, Hello | LearnerHello):
        return False
    return message.wire_min <= WIRE_VERSION <= message.wire_max


def peek_sender(header: Frame) -> tuple[str, int] | None:
    """Returns actor and incarnation of a header that could not be decoded, to answer it."""
    try:
        sender = _SENDER.decode(header)
    except _UNREADABLE:
        return None
    return sender.actor, sender.incarnation


def peek_session(header: Frame) -> int | None:
    """Returns the session of a learner's header that could not be decoded, to answer it."""
    try:
        return _SESSION.decode(header).session
    except _UNREADABLE:
        return None


def _wrong_version(theirs: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        RejectCode.UNSUPPORTED_VERSION,
        f"wire version {theirs}; this side speaks {WIRE_VERSION}: install the same release",
    )


def ingest_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[IngestMessage]:
    """Returns the decoder for messages that actors push."""
    return MessageDecoder(IngestMessage, limits)


def control_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[ControlMessage]:
    """Returns the decoder for messages of the control endpoint, without the topic frame."""
    return MessageDecoder(ControlMessage, limits)


def weights_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[WeightsMessage]:
    """Returns the decoder for messages of the weights endpoint, without the topic frame."""
    return MessageDecoder(WeightsMessage, limits)


def from_learner_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[FromLearner]:
    """Returns the decoder for messages that learners send, without the routing id."""
    return MessageDecoder(FromLearner, limits)


def to_learner_decoder(limits: DecodeLimits = DEFAULT_LIMITS) -> MessageDecoder[ToLearner]:
    """Returns the decoder for messages that learners receive."""
    return MessageDecoder(ToLearner, limits)
