"""Hostile bytes: mutated legal frames, and payloads designed to break decoders."""

from __future__ import annotations

import random
from functools import cached_property
from typing import Any

import msgpack
from support.examples import make_payload
from support.vectors import all_vectors

from headrace.protocol.compression import compress

_PACK = msgpack.Packer(use_bin_type=True).pack
_DTYPES = (
    "O",
    "|O",
    "V8",
    "|V16",
    "<f4",
    ">f8",
    "|S4",
    "<U4",
    "<M8[ns]",
    "f4,O",
    "{}",
    "",
    "float32" * 50,
    "<c16",
    "b1",
    "i1",
)
_KINDS = (b"", b"O", b"V", b"S", b"\x00")


class HostileBytes:
    """An endless supply of frames, reproducible from a seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._frames = [frame for vector in all_vectors().values() for frame in vector.frames]
        self._frames.append(compress("lz4", make_payload([50]))[1])
        self._frames += self.batches

    @cached_property
    def batches(self) -> list[bytes]:
        """Valid batches, which are among the frames that are mutated."""
        return [make_payload(lengths) for lengths in ([5], [3, 2], [1] * 20)]

    def count(self) -> int:
        """Returns the number of frames of a message."""
        return self._rng.choice((1, 1, 2, 2, 3, 4))

    def frame(self) -> bytes:
        """Returns one frame."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.6:
            return self._mutated()
        if kind < 0.75:
            return rng.randbytes(rng.randrange(200))
        return bytes(_PACK(self._tree(0)))

    def _mutated(self) -> bytes:
        rng = self._rng
        frame = bytearray(rng.choice(self._frames))
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(frame) + 1)
            change = rng.randrange(4)
            if change == 0 and position < len(frame):
                frame[position] = rng.randrange(256)
            elif change == 1:
                del frame[position : position + rng.randint(1, 8)]
            elif change == 2:
                frame[position:position] = rng.randbytes(rng.randint(1, 8))
            else:  # a length that claims more than there is
                frame[position:position] = bytes([rng.choice((0xC6, 0xDB, 0xDD, 0xDF, 0xC9))])
                frame[position + 1 : position + 1] = rng.randbytes(4)
        return bytes(frame)

    def _tree(self, depth: int) -> Any:
        rng = self._rng
        if depth > 12 or rng.random() < 0.3:
            return self._leaf()
        if rng.random() < 0.3:
            return [self._tree(depth + 1) for _ in range(rng.randrange(4))]
        keys = ("kind", "wire", "actor", "chunks", "columns", "obs", "default_policy", b"nd", "x")
        return {rng.choice(keys): self._tree(depth + 1) for _ in range(rng.randrange(5))}

    def _leaf(self) -> Any:
        rng = self._rng
        if rng.random() < 0.5:
            return self._array()
        return rng.choice(
            (
                None,
                True,
                -(2**63),
                2**64 - 1,
                float("nan"),
                "",
                "x" * 5000,
                b"",
                rng.randbytes(100),
                msgpack.ExtType(5, b"x" * 20),
            )
        )

    def _array(self) -> dict[Any, Any]:
        """Returns a map that `msgpack_numpy` would decode into an array, or execute."""
        rng = self._rng
        shape = [rng.choice((0, 1, 2, -1, 2**31, 2**62)) for _ in range(rng.randrange(10))]
        kind: Any = rng.choice(_DTYPES)
        if rng.random() < 0.2:
            kind = [["a", rng.choice(_DTYPES)], ["b", "<f4"]]
        array: dict[Any, Any] = {
            b"nd": rng.choice((True, 1, False)),
            b"type": kind,
            b"kind": rng.choice(_KINDS),
            b"shape": shape,
            b"data": rng.randbytes(rng.choice((0, 4, 8, 64))),
        }
        if rng.random() < 0.1:
            array[b"complex"] = True
        return array
