"""The base of all messages."""

from __future__ import annotations

from typing import ClassVar

import msgspec

WIRE_VERSION = 1
"""The major version of the wire; peers with another one are refused with `unsupported_version`."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all messages."""

    payload_count: ClassVar[int] = 0

    wire: int = WIRE_VERSION
