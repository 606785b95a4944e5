"""Bounds on what a peer may make this process decode."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds that are checked before or while bytes become objects.

    Attributes:
        max_header_bytes: the header frame.
        max_payload_bytes: one payload frame.
        max_nodes: maps, lists and their members in one payload; an array counts as one.
        max_depth: nesting depth of maps and lists.
        max_chunks: chunks in one trajectory batch, over all modules.
    """

    max_header_bytes: int = 1 * MIB
    max_payload_bytes: int = 256 * MIB
    max_nodes: int = 4096
    max_depth: int = 8
    max_chunks: int = 65_536


DEFAULT_LIMITS = DecodeLimits()
