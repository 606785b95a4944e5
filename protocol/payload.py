"""Payload frames: one msgpack map of text, numbers and arrays, decoded within limits.

`msgpack_numpy.patch()`, which RLlib calls, replaces msgpack's own names process-wide and makes
them unpickle. The C implementation is therefore imported directly, where the patch has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack
from msgpack import _cmsgpack  # pyright: ignore[reportPrivateUsage]

from headrace.protocol.arrays import Array, is_packed_array, pack_array, unpack_array
from headrace.protocol.errors import LocalProtocolError, RejectCode, RemoteProtocolError
from headrace.protocol.limits import DEFAULT_LIMITS, DecodeLimits

Tree = Mapping[str, "Leaf"]
Leaf = Tree | list["Leaf"] | Array | str | bytes | int | float | bool | None

_UNREADABLE = (
    ValueError,  # msgpack's ExtraData, FormatError, StackError; bad UTF-8; an over-long part
    TypeError,  # a list or a map as the key of a map
    OverflowError,
    RecursionError,
    msgpack.UnpackException,
)


def encode_payload(tree: Mapping[str, Any]) -> bytes:
    """Returns the payload frame of a map of text, numbers, lists, maps and arrays.

    Raises:
        LocalProtocolError: a value cannot be encoded.
    """
    try:
        frame: bytes = _cmsgpack.Packer(default=pack_array).pack(tree)
    except (TypeError, ValueError, OverflowError) as error:
        raise LocalProtocolError(f"cannot encode the payload: {error}") from error
    return frame


def decode_payload(
    frame: bytes | memoryview, limits: DecodeLimits = DEFAULT_LIMITS
) -> dict[str, Any]:
    """Returns the map in a payload frame; its arrays are read-only views of copied bytes.

    Raises:
        RemoteProtocolError: the bytes are not one such map, or exceed `limits`.
    """
    if len(frame) > limits.max_payload_bytes:
        raise RemoteProtocolError(
            RejectCode.OVERSIZED,
            f"a payload of {len(frame)} bytes; the limit is {limits.max_payload_bytes}",
        )
    budget = _NodeBudget(limits)
    try:
        tree = _cmsgpack.unpackb(
            frame,
            raw=False,
            strict_map_key=False,
            object_hook=budget.close_map,
            list_hook=budget.close_list,
            ext_hook=_refuse_extension,
            max_array_len=limits.max_nodes,
            max_map_len=limits.max_nodes,
            max_str_len=65_536,
            max_bin_len=limits.max_payload_bytes,
            max_ext_len=0,
        )
    except RemoteProtocolError:
        raise
    except _UNREADABLE as error:
        raise RemoteProtocolError(
            RejectCode.MALFORMED, f"the payload is not msgpack within the limits: {error}"
        ) from error
    if not isinstance(tree, dict):
        raise RemoteProtocolError(RejectCode.MALFORMED, "the payload is not a map")
    if budget.containers > limits.max_depth:  # fewer cannot be nested that deeply
        _check_depth(tree, limits.max_depth)
    return tree


class _NodeBudget:
    """Counts the nodes of one payload while it is decoded, and turns array maps into arrays."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._left = limits.max_nodes
        self.containers = 0
        """Maps and lists in the tree."""

    def close_map(self, value: dict[object, object]) -> object:
        if is_packed_array(value):
            self.containers -= isinstance(value.get(b"shape"), list)
            self._spend(1)
            return unpack_array(value)
        self.containers += 1
        self._spend(1 + len(value))
        if not all(isinstance(key, str) for key in value):
            raise RemoteProtocolError(RejectCode.MALFORMED, "a map with a key that is not text")
        return value

    def close_list(self, value: list[object]) -> list[object]:
        # The shape of an array is also a list, but its eight sizes at most fit any budget.
        self.containers += 1
        self._spend(1 + len(value))
        return value

    def _spend(self, nodes: int) -> None:
        self._left -= nodes
        if self._left < 0:
            raise RemoteProtocolError(RejectCode.OVERSIZED, "the payload has too many parts")


def _refuse_extension(code: int, _: bytes) -> object:
    raise RemoteProtocolError(RejectCode.MALFORMED, f"msgpack extension {code} in the payload")


def _check_depth(value: object, levels_left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if levels_left == 0:
        raise RemoteProtocolError(RejectCode.OVERSIZED, "the payload is nested too deeply")
    for member in value.values() if isinstance(value, dict) else value:
        _check_depth(member, levels_left - 1)
