"""NumPy arrays in msgpack, in msgpack-numpy's format, decoded without its security holes.

msgpack-numpy 0.4.8 calls `pickle.loads` on arrays of kind `O`, and builds an object array over the
sender's bytes if a dtype hides its objects. The decoder here accepts the same bytes for plain
numbers and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import msgpack_numpy
import numpy as np
from numpy.typing import NDArray

from headrace.protocol.errors import (
    ConfigError,
    LocalProtocolError,
    RejectCode,
    RemoteProtocolError,
    shortened,
)

Array = NDArray[Any]

MAX_DIMENSIONS = 8
_LARGEST_SIZE = 2**48 - 1
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c(8|16))")
_ARRAY_KEYS = frozenset({b"nd", b"type", b"kind", b"shape", b"data"})


def array_of(name: str, value: object) -> Array:
    """Returns a copy of a simulator's value as an array.

    Args:
        name: what it is, for the error message.

    Raises:
        ConfigError: it is not one, such as lists of different lengths, or is masked.
    """
    array = array_or_none(value)
    if array is None:
        raise ConfigError(f"the simulator's {name!r} is not an array: {shortened(repr(value))}")
    return array


def array_or_none(value: object) -> Array | None:
    """Returns a copy of a value as an array; None if it is none, or if some of it is masked."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return None
    try:
        return np.array(value)
    # RuntimeError: torch's, for a tensor that requires its gradient.
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None


def pack_array(value: object) -> dict[bytes, object]:
    """Returns the map that encodes an array or a NumPy scalar, for use as msgpack's `default`.

    Raises:
        LocalProtocolError: the value is not an array, or its dtype is not a plain number.
    """
    if not isinstance(value, np.ndarray | np.generic):
        raise LocalProtocolError(f"a payload holds arrays, text and numbers, not {type(value)!r}")
    if not _DTYPE.fullmatch(value.dtype.str):
        raise LocalProtocolError(
            f"an array of dtype {value.dtype} cannot be sent; use plain numbers"
        )
    return cast("dict[bytes, object]", msgpack_numpy.encode(value))


def is_packed_array(value: Mapping[object, object]) -> bool:
    """Returns whether a decoded map encodes an array or a NumPy scalar."""
    return b"nd" in value


def unpack_array(packed: Mapping[object, object]) -> Array:
    """Returns the read-only array that a decoded map encodes, as a view of its bytes.

    Raises:
        RemoteProtocolError: a part is missing, has the wrong type, or contradicts the others.
    """
    if not _ARRAY_KEYS.issuperset(packed):
        raise _fault("unknown keys")
    is_array, dtype_text, data = packed.get(b"nd"), packed.get(b"type"), packed.get(b"data")
    if not isinstance(is_array, bool):
        raise _fault("'nd' is not a boolean")
    if packed.get(b"kind", b"") not in (b"", ""):
        raise _fault("a kind other than plain numbers")
    dtype = _plain_dtype(dtype_text) if isinstance(dtype_text, str) else None
    if dtype is None:
        raise _fault("a dtype that is not a plain number")
    if not isinstance(data, bytes):
        raise _fault("'data' is not binary")
    shape = packed.get(b"shape") if is_array else []
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise _fault(f"'shape' is not a list of at most {MAX_DIMENSIONS} sizes")
    size_bytes = dtype.itemsize
    for size in shape:
        if type(size) is not int or not 0 <= size <= _LARGEST_SIZE:
            raise _fault("'shape' holds something other than sizes")
        size_bytes *= size
    if size_bytes != len(data):
        raise _fault(f"{len(data)} bytes for shape {shape} of {dtype}")
    return np.ndarray(shape, dtype, data)


@lru_cache(maxsize=64)
def _plain_dtype(text: str) -> np.dtype[np.generic] | None:
    return np.dtype(text) if _DTYPE.fullmatch(text) else None


def _fault(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.MALFORMED, f"array with {what}")
