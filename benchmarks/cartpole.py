"""CartPole-shaped experience and weights, made once, so that only transport is measured."""

from __future__ import annotations

import numpy as np

from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.arrays import Array
from headrace.protocol.flow_control import Flow
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
    ChunkTable,
    ModuleTrajectories,
    TrajectoryBatch,
)

RUN = "benchmark"
_OBSERVATION = TensorSpec("obs", "float32", (4,))


def make_batch(episodes: int, steps: int, *, are_over: bool = True) -> TrajectoryBatch:
    """Returns a batch of `episodes` episodes with `steps` steps each."""
    rng = np.random.default_rng(0)
    rows = episodes * steps
    whole = (float(steps), 1.0) if are_over else (np.nan, np.nan)
    table = ChunkTable(
        agents=(DEFAULT_AGENT,),
        episode_id=rng.integers(0, 256, (episodes, 16), np.uint8),
        # agent, starts, length, lookback, terminated, truncated, length of the whole
        integers=np.array([(0, 0, 0, steps, 0, are_over, 0, steps * are_over)] * episodes),
        floats=np.array([whole] * episodes),
    )
    columns: dict[str, Array] = {
        "obs": rng.standard_normal((rows + episodes, 4), np.float32),
        "actions": rng.integers(0, 2, rows),
        "rewards": np.ones(rows, np.float32),
        "action_logp": np.full(rows, -0.7, np.float32),
        "action_dist_inputs": rng.standard_normal((rows, 2), np.float32),
    }
    return TrajectoryBatch({DEFAULT_MODULE: ModuleTrajectories(table, columns)})


def make_manifest(flow: Flow, weights_bytes: int = 300_000) -> Manifest:
    """Returns a manifest for `make_batch`, with one weight tensor of about `weights_bytes`."""
    graph = PolicyGraph(
        observations=(_OBSERVATION,),
        noise_size=2,
        weights=(TensorSpec("w", "float32", (weights_bytes // 4,)),),
        scalars={"explore": 1.0},
        recorded={"action": "actions"},
        env_action=TensorSpec("env_action", "int64", ()),
        max_error=0.0,
    )
    columns = (
        ColumnSpec("obs", "float32", (4,)),
        ColumnSpec("actions", "int64", (), 0.0, 1.0),
        ColumnSpec("rewards", "float32", ()),
        ColumnSpec("action_logp", "float32", ()),
        ColumnSpec("action_dist_inputs", "float32", (2,)),
    )
    return Manifest(run=RUN, flow=flow, modules={DEFAULT_MODULE: ModuleManifest(columns, graph)})


class ScriptedWeights:
    """Versions of weights for a manifest, ready to offer."""

    def __init__(self, manifest: Manifest) -> None:
        self._frame = encode_policy(Policy(manifest, {DEFAULT_MODULE: b"graph"}))
        self._digest = policy_digest(self._frame)
        [self._spec] = manifest.modules[DEFAULT_MODULE].graph.weights

    def version(self, number: int) -> OfferedWeights:
        """Returns weights that differ from those of every other number."""
        tensor = np.full(self._spec.shape, number, np.float32)
        return OfferedWeights(
            number=number,
            weights_digest=f"{number:032x}",
            policy_digest=self._digest,
            policy_frame=self._frame,
            weights_frame=encode_payload({DEFAULT_MODULE: {"w": tensor}}),
        )
