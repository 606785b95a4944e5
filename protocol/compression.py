"""Compression of trajectory payloads, with a size check before decompression.

LZ4's frame format, which its libraries share, with the content size in the frame's header:
https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
"""

from __future__ import annotations

from typing import Literal

import lz4.frame
from msgspec import UNSET, UnsetType

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits

Compression = Literal["lz4"]
Frame = bytes | memoryview
_MAGIC = bytes.fromhex("04224d18")


def compress(
    compression: Compression | UnsetType, payload: bytes
) -> tuple[Compression | UnsetType, bytes]:
    """Returns the compression that was used, UNSET where it saves nothing, and the payload."""
    if isinstance(compression, UnsetType):
        return UNSET, payload
    compressed: bytes = lz4.frame.compress(payload)
    return (compression, compressed) if len(compressed) < len(payload) else (UNSET, payload)


def decompress(
    compression: Compression | UnsetType, payload: Frame, limits: DecodeLimits = DEFAULT_LIMITS
) -> Frame:
    """Returns the decompressed payload; `compression` is what the message header says.

    Raises:
        RemoteProtocolError: it does not match `compression`, or its content exceeds the limit.
    """
    if isinstance(compression, UnsetType):
        return payload
    size_bytes = _content_bytes(payload)
    if not size_bytes:
        raise _fault("an LZ4 frame that is empty, or does not declare its content size")
    if size_bytes > limits.max_payload_bytes:
        raise RemoteProtocolError(
            RejectCode.OVERSIZED,
            f"an LZ4 frame of {size_bytes} bytes; the limit is {limits.max_payload_bytes}",
        )
    try:
        content, read = lz4.frame.decompress(payload, return_bytes_read=True)
    except (RuntimeError, ValueError) as error:
        raise _fault(f"a damaged LZ4 frame: {error}") from error
    if read != len(payload):
        raise _fault("bytes after the LZ4 frame")
    decompressed: bytes = content
    return decompressed


def unpacked_bytes(frame: Frame) -> int:
    """Returns the decompressed size of a frame, if it declares one, for rate limits.

    No header and no other payload begins with the magic number of an LZ4 frame.
    """
    if frame[:4] != _MAGIC:
        return len(frame)
    try:
        return max(len(frame), _content_bytes(frame))
    except RemoteProtocolError:
        return len(frame)


def _content_bytes(frame: Frame) -> int:
    """Returns the content size that an LZ4 frame declares, 0 if it declares none."""
    try:
        return int(lz4.frame.get_frame_info(frame)["content_size"])
    except (RuntimeError, ValueError) as error:
        raise _fault(f"not an LZ4 frame: {error}") from error


def _fault(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.MALFORMED, what)
