"""Checks batches of a known layout by their numbers alone, in a quarter of the time.

The *layout* of a payload is all but the bytes of its arrays: msgpack's headers, names, dtypes and
shapes. A fleet's batches have few layouts, one for each number of chunks and rows. A batch with the
layout of one that `unpack_batch` and `find_batch_fault` have accepted decodes into the same arrays
with other numbers, so only what they say of numbers is left to check. What is not accepted here may
still be valid: then they decide.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from math import isfinite, isnan
from operator import gt, lt
from typing import Any

import numpy as np
from msgpack import _cmsgpack  # pyright: ignore[reportPrivateUsage]

from headrace.protocol.arrays import Array
from headrace.protocol.identity import MAX_SAFE_INTEGER
from headrace.protocol.manifest import ColumnSpec, Manifest, numpy_dtype
from headrace.protocol.policy_graph import ACTION_DIST_INPUTS
from headrace.protocol.trajectory import (
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    LONGEST_CHUNK,
    TrajectoryBatch,
)

_MOST_LAYOUTS, _MOST_LENGTHS = 1024, 4096
_FEW_CHUNKS, _FEW_INTEGERS = 16, 128
"""Up to here, Python's own functions take less time than NumPy's."""

_INTEGERS: dict[str, str] = {
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
}
"""The `struct` module's letters."""

_INVERTED = bytes(range(255, -1, -1))
_FIELDS, _FLOATS = len(INTEGER_FIELDS), len(FLOAT_FIELDS)

_LEAST = tuple(int(name == "length") for name in INTEGER_FIELDS)
_LEAST_ROW = np.array(_LEAST)
_LENGTH, _LOOKBACK, _TERMINATED, _TRUNCATED = map(
    INTEGER_FIELDS.index, ("length", "lookback", "terminated", "truncated")
)

Buffer = bytes | memoryview
_Check = Callable[[Buffer], bool]
"""Whether the numbers of one column are valid."""


@dataclass(frozen=True)
class _Span:
    """The bytes of an array within the payload, and the keys under which it is found."""

    path: tuple[Any, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class _ModuleLayout:
    """Where a module's numbers are.

    Attributes:
        chunks, rows: the numbers of chunks and rows that its shapes allow.
        integers, floats: where these arrays of the chunk table begin.
        most, most_row: the largest number of each field of the chunk table.
        checks: of the columns that can hold invalid numbers.
    """

    chunks: int
    rows: int
    integers: int
    floats: int
    most: tuple[int, ...]
    most_row: Array
    checks: tuple[_Check, ...]

    def steps_in(self, payload: Buffer) -> int | None:
        """Returns the trained steps, None if a number may be invalid."""
        count = self._steps_of_few if self.chunks <= _FEW_CHUNKS else self._steps_of_many
        steps = count(payload)
        if steps is None:
            return None
        for is_valid in self.checks:
            if not is_valid(payload):
                return None
        return steps

    def _steps_of_few(self, payload: Buffer) -> int | None:
        numbers = struct.unpack_from(f"<{self.chunks * _FIELDS}q", payload, self.integers)
        if any(map(lt, numbers, cycle(_LEAST))) or any(map(gt, numbers, cycle(self.most))):
            return None
        steps: int = sum(numbers[_LENGTH::_FIELDS])
        context: int = sum(numbers[_LOOKBACK::_FIELDS])
        if steps + context != self.rows:
            return None
        is_end, is_cut = numbers[_TERMINATED::_FIELDS], numbers[_TRUNCATED::_FIELDS]
        if not (context or any(is_end) or any(is_cut)):
            return steps
        floats = struct.unpack_from(f"<{self.chunks * _FLOATS}d", payload, self.floats)
        rows = zip(*(iter(numbers),) * _FIELDS, strict=True)
        for row, returned in zip(rows, floats[::_FLOATS], strict=True):
            _, _, t_started, length, lookback, is_ended, is_truncated, whole = row
            is_done = is_ended or is_truncated
            if lookback > t_started or (
                is_done and not (isfinite(returned) and whole >= t_started + length)
            ):
                return None
        return steps

    def _steps_of_many(self, payload: Buffer) -> int | None:
        count = self.chunks
        integers = np.frombuffer(payload, "<i8", count * _FIELDS, self.integers)
        integers = integers.reshape(count, _FIELDS)
        too_little, too_much = integers < _LEAST_ROW, integers > self.most_row
        if np.logical_or.reduce(too_little, None) or np.logical_or.reduce(too_much, None):
            return None
        _, _, _, steps, context, terminated, truncated, _ = np.add.reduce(integers).tolist()
        _, _, t_started, length, lookback, is_end, is_cut, whole = integers.T
        if steps + context != self.rows or (context and np.logical_or.reduce(lookback > t_started)):
            return None
        if terminated or truncated:
            floats = np.frombuffer(payload, "<f8", count * _FLOATS, self.floats)
            is_done = is_end | is_cut
            has_ended_well = np.isfinite(floats[::_FLOATS]) & (whole >= t_started + length)
            if not np.logical_and.reduce(has_ended_well >= is_done):
                return None
        trained: int = steps
        return trained


@dataclass(frozen=True)
class _Layout:
    """What the payload holds between the bytes of its arrays, by position."""

    fixed: tuple[tuple[int, int, bytes], ...]
    modules: tuple[_ModuleLayout, ...]

    def matches(self, payload: Buffer) -> bool:
        """Returns whether a payload of the same length has this layout."""
        for start, stop, expected in self.fixed:  # noqa: SIM110 - a generator takes twice as long
            if payload[start:stop] != expected:
                return False
        return True


class BatchLayouts:
    """The layouts of one manifest's batches; they are learned from those that were accepted."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._by_length: OrderedDict[int, _Layout] = OrderedDict()
        self._seen: OrderedDict[int, int] = OrderedDict()

    def accepts(self, payload: Buffer, env_steps: int) -> bool:
        """Returns whether a payload certainly fits the run; False if it may or may not.

        Args:
            env_steps: the count that the header claims.
        """
        layout = self._by_length.get(len(payload))
        if layout is None or not layout.matches(payload):
            return False
        agent_steps = 0
        with np.errstate(all="ignore"):  # an overflow, like a NaN, is a number that is not finite
            for module in layout.modules:
                steps = module.steps_in(payload)
                if steps is None:
                    return False
                agent_steps += steps
        return env_steps <= agent_steps if self._manifest.multi_agent else env_steps == agent_steps

    def learn(self, payload: Buffer, batch: TrajectoryBatch) -> None:
        """Learns the layout of a batch that was accepted, if its length comes again.

        Learning takes longer than checking. Lengths that come with ever other layouts, or with
        numbers that are left to the other check, are learned ever more rarely.
        """
        length = len(payload)
        self._seen[length] = times = self._seen.get(length, 0) + 1
        if len(self._seen) > _MOST_LENGTHS:
            self._seen.popitem(last=False)
        if times == 1 or times & (times - 1):  # at the second, fourth, eighth …
            return
        layout = _layout_of(bytes(payload), batch, self._manifest)
        if layout is not None:
            self._by_length[length] = layout
            if len(self._by_length) > _MOST_LAYOUTS:
                self._by_length.popitem(last=False)


def _layout_of(payload: bytes, batch: TrajectoryBatch, manifest: Manifest) -> _Layout | None:
    """Returns the layout of a valid payload, None if it has none that could come again."""
    if any(part.chunks.ended for part in batch.modules.values()):
        return None
    spans = _spans_of(payload)
    if spans is None:
        return None
    starts = [0, *(span.stop for span in spans)]
    stops = [*(span.start for span in spans), len(payload)]
    fixed = tuple(
        (start, stop, payload[start:stop])
        for start, stop in zip(starts, stops, strict=True)
        if start < stop
    )
    by_path = {span.path: span for span in spans}
    modules = tuple(
        _ModuleLayout(
            chunks=len(part.chunks),
            rows=part.chunks.rows,
            integers=by_path[name, "chunks", "integers"].start,
            floats=by_path[name, "chunks", "floats"].start,
            most=(most := _most(len(part.chunks.agents), manifest.modules[name].lookback)),
            most_row=np.array(most),
            checks=tuple(
                check
                for column in manifest.modules[name].columns
                if (check := _check_of(column, by_path[name, "columns", column.name])) is not None
            ),
        )
        for name, part in batch.modules.items()
    )
    return _Layout(fixed, modules)


def _most(agents: int, lookback: int) -> tuple[int, ...]:
    most = dict.fromkeys(INTEGER_FIELDS, MAX_SAFE_INTEGER)
    most |= {"agent": agents - 1, "length": LONGEST_CHUNK, "lookback": lookback}
    most |= {"terminated": 1, "truncated": 1}
    return tuple(most[name] for name in INTEGER_FIELDS)


def _spans_of(payload: bytes) -> list[_Span] | None:
    """Returns where the arrays' bytes are, None if that is not certain."""
    spans: list[_Span] = []
    position = 0
    for path, data in _arrays_in(_unpacked(payload)):
        start = payload.find(data, position)
        if start < 0:
            return None
        position = start + len(data)
        spans.append(_Span(path, start, position))
    # If they are there, changing each of them changes every byte of every array.
    probe = bytearray(payload)
    for span in spans:
        probe[span.start : span.stop] = payload[span.start : span.stop].translate(_INVERTED)
    expected = [(path, data.translate(_INVERTED)) for path, data in _arrays_in(_unpacked(payload))]
    return spans if list(_arrays_in(_unpacked(bytes(probe)))) == expected else None


def _unpacked(payload: bytes) -> Any:
    return _cmsgpack.unpackb(payload, raw=False, strict_map_key=False)


def _arrays_in(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """Yields the bytes of each array with its path, in the order of the payload."""
    if not isinstance(tree, dict):
        return
    if b"nd" in tree:
        yield path, tree[b"data"]
        return
    for key, value in tree.items():
        yield from _arrays_in(value, (*path, key))


def _check_of(column: ColumnSpec, span: _Span) -> _Check | None:
    """Returns the check of a column's numbers, None if all numbers are valid."""
    dtype, start = numpy_dtype(column), span.start
    count = (span.stop - start) // dtype.itemsize
    low, high = column.low, column.high
    if count == 0 or (dtype.kind not in "fc" and low is None and high is None):
        return None
    if dtype.kind in "iu" and count <= _FEW_INTEGERS:
        return _bounds_of_few(f"<{count}{_INTEGERS[dtype.str[1:]]}", start, low, high)
    if dtype.kind == "f" and column.name == ACTION_DIST_INPUTS and low is None and high is None:
        # Masked actions may be infinitely unlikely.
        return lambda payload: not isnan(np.add.reduce(np.frombuffer(payload, dtype, count, start)))

    def is_valid(payload: Buffer) -> bool:
        values = np.frombuffer(payload, dtype, count, start)
        # A product of finite numbers may overflow; comparisons with NaN are False.
        return bool(
            (dtype.kind not in "fc" or isfinite(abs(values.dot(values))))
            and (low is None or np.minimum.reduce(values) >= low)
            and (high is None or np.maximum.reduce(values) <= high)
        )

    return is_valid


def _bounds_of_few(layout: str, start: int, low: float | None, high: float | None) -> _Check:
    read = struct.Struct(layout).unpack_from

    def is_valid(payload: Buffer) -> bool:
        values = read(payload, start)
        return (low is None or min(values) >= low) and (high is None or max(values) <= high)

    return is_valid
