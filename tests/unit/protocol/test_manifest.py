from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.examples import make_manifest, make_module, make_policy_frame

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.manifest import (
    ColumnSpec,
    Policy,
    TensorSpec,
    decode_policy,
    encode_policy,
    numpy_dtype,
    policy_digest,
)


def test_a_policy_frame_survives_a_round_trip() -> None:
    frame, digest = make_policy_frame()
    policy = decode_policy(frame)
    assert policy.manifest == make_manifest()
    assert encode_policy(policy) == frame
    assert policy_digest(encode_policy(policy)) == digest


@pytest.mark.parametrize("frame", [b"", b"\x80", b"\xc1", b"\x81" * 5000])
def test_bytes_that_are_not_a_policy_are_refused(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_policy(frame)
    assert caught.value.code is RejectCode.INVALID_POLICY


def test_a_module_without_a_graph_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="has no graph"):
        decode_policy(encode_policy(Policy(make_manifest(), {})))


@pytest.mark.parametrize("missing", ["obs", "actions", "rewards"])
def test_a_module_needs_observations_actions_and_rewards(missing: str) -> None:
    module = make_module()
    columns = tuple(column for column in module.columns if column.name != missing)
    manifest = make_manifest(module=msgspec.structs.replace(module, columns=columns))
    with pytest.raises(RemoteProtocolError, match=missing):
        decode_policy(make_policy_frame(manifest)[0])


def test_a_column_cannot_be_named_twice() -> None:
    module = make_module()
    columns = (*module.columns, ColumnSpec("obs", "float32", (4,)))
    manifest = make_manifest(module=msgspec.structs.replace(module, columns=columns))
    with pytest.raises(RemoteProtocolError, match="twice"):
        decode_policy(make_policy_frame(manifest)[0])


def test_a_dtype_that_holds_objects_is_refused() -> None:
    column = ColumnSpec("obs", "object", (4,))
    module = make_module(columns=(column, *make_module().columns[1:]))
    with pytest.raises(RemoteProtocolError, match="dtype"):
        decode_policy(make_policy_frame(make_manifest(module=module))[0])


def test_dtypes_have_numpy_names() -> None:
    assert numpy_dtype(TensorSpec("x", "uint8", ())) == np.uint8
