"""Small, valid examples of everything on the wire."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from headrace.protocol.flow_control import OnPolicyFlow
from headrace.protocol.manifest import (
    DEFAULT_MODULE,
    ColumnSpec,
    Manifest,
    ModuleManifest,
    Policy,
    PolicyGraph,
    TensorSpec,
    encode_policy,
    policy_digest,
)
from headrace.protocol.payload import encode_payload
from headrace.protocol.trajectory import (
    DEFAULT_AGENT,
    FLOAT_FIELDS,
    INTEGER_FIELDS,
    ChunkTable,
    ModuleTrajectories,
    TrajectoryBatch,
    pack_batch,
)

RUN = "test-run"
WEIGHTS = {DEFAULT_MODULE: {"w": np.arange(8, dtype=np.float32).reshape(4, 2)}}


def make_module(**changes: Any) -> ModuleManifest:
    """Returns a module for CartPole, without a critic."""
    fields: dict[str, Any] = {
        "columns": (
            ColumnSpec("obs", "float32", (4,)),
            ColumnSpec("actions", "int64", (), 0.0, 1.0),
            ColumnSpec("rewards", "float32", ()),
            ColumnSpec("action_logp", "float32", ()),
        ),
        "graph": PolicyGraph(
            observations=(TensorSpec("obs", "float32", (4,)),),
            noise_size=2,
            weights=(TensorSpec("w", "float32", (4, 2)),),
            scalars={"explore": 1.0},
            recorded={"action": "actions", "action_logp": "action_logp"},
            env_action=TensorSpec("env_action", "int64", ()),
            max_error=0.0,
        ),
    }
    return ModuleManifest(**{**fields, **changes})


def make_image_module() -> ModuleManifest:
    """Returns a module whose observations are RGB images of 1080p."""
    shape = (1080, 1920, 3)
    obs, *others = make_module().columns
    graph = msgspec.structs.replace(
        make_module().graph, observations=(TensorSpec("obs", "uint8", shape),)
    )
    return make_module(columns=(ColumnSpec(obs.name, "uint8", shape), *others), graph=graph)


def make_manifest(
    run: str = RUN, *, batch: int = 1000, module: ModuleManifest | None = None, **flow: Any
) -> Manifest:
    return Manifest(
        run=run,
        flow=OnPolicyFlow(train_batch_env_steps=batch, **flow),
        modules={DEFAULT_MODULE: module or make_module()},
    )


def make_policy_frame(manifest: Manifest | None = None) -> tuple[bytes, str]:
    manifest = manifest or make_manifest()
    frame = encode_policy(Policy(manifest, {name: b"onnx" for name in manifest.modules}))
    return frame, policy_digest(frame)


def make_weights_frame(scale: float = 1.0) -> bytes:
    return encode_payload(
        {
            name: {key: array * np.float32(scale) for key, array in tensors.items()}
            for name, tensors in WEIGHTS.items()
        }
    )


def make_table(lengths: list[int], **changes: Any) -> ChunkTable:
    """Returns chunks of separate episodes; the last episode continues, the others end."""
    count = len(lengths)
    is_done = np.arange(count) < count - 1
    fields: dict[str, Any] = {
        "agents": (DEFAULT_AGENT,),
        "episode_id": np.arange(16 * count, dtype=np.uint8).reshape(count, 16),
        **dict.fromkeys(INTEGER_FIELDS, [0] * count),
        "length": lengths,
        "terminated": is_done,
        "episode_return": np.where(is_done, lengths, np.nan),
        "episode_length": np.where(is_done, lengths, 0),
        "episode_s": np.where(is_done, 1.0, np.nan),
        **changes,
    }
    return ChunkTable(
        fields["agents"],
        fields["episode_id"],
        np.stack([np.asarray(fields[name], np.int64) for name in INTEGER_FIELDS], axis=1),
        np.stack([np.asarray(fields[name], np.float64) for name in FLOAT_FIELDS], axis=1),
    )


def make_columns(lengths: list[int], **changes: Any) -> dict[str, np.ndarray[Any, Any]]:
    steps = sum(lengths)
    rows = steps + len(lengths)
    columns: dict[str, Any] = {
        "obs": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
        "actions": np.arange(steps, dtype=np.int64) % 2,
        "rewards": np.ones(steps, np.float32),
        "action_logp": np.full(steps, -0.5, np.float32),
    }
    return {name: value for name, value in {**columns, **changes}.items() if value is not None}


def make_batch(lengths: list[int] | None = None, **columns: Any) -> TrajectoryBatch:
    lengths = lengths or [3, 2]
    return TrajectoryBatch(
        {DEFAULT_MODULE: ModuleTrajectories(make_table(lengths), make_columns(lengths, **columns))}
    )


def make_payload(lengths: list[int] | None = None, **columns: Any) -> bytes:
    return pack_batch(make_batch(lengths, **columns))
