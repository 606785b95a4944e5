"""The manifest, which describes a run to its actors, and the policy frame that carries it.

A policy frame is one msgpack map, `{"manifest": …, "graphs": {module id: ONNX bytes}}`. It changes
only when a learner run begins; new weights for it are published under its digest.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Annotated, Any

import msgspec
import numpy as np

from headrace.protocol.arrays import MAX_DIMENSIONS
from headrace.protocol.compression import Compression
from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.flow_control import Flow
from headrace.protocol.identity import Name
from headrace.protocol.trajectory import ACTIONS, OBSERVATIONS, REWARDS, is_column

Dtype = Annotated[
    str, msgspec.Meta(pattern="^(bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128))$")
]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Shape = Annotated[tuple[Size, ...], msgspec.Meta(max_length=MAX_DIMENSIONS)]
ModuleId = Name

DEFAULT_MODULE = "default_policy"
"""RLlib's id for the only module of a single-agent run."""


class TensorSpec(msgspec.Struct, frozen=True):
    """Name, dtype and shape of a graph's input or output; batched ones omit the row axis."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    dtype: Dtype
    shape: Shape


class ColumnSpec(TensorSpec, frozen=True):
    """A column of recorded trajectories: one row of `shape` per step.

    Attributes:
        low, high: bounds, both included; a value outside makes the batch invalid.
    """

    low: float | None = None
    high: float | None = None


class ActionRange(msgspec.Struct, frozen=True):
    """Bounds of continuous actions, element by element in C order."""

    low: tuple[float, ...]
    high: tuple[float, ...]


class IndexRange(msgspec.Struct, frozen=True):
    """Bounds of indices, both included, element by element in C order; one for all if equal."""

    low: tuple[int, ...]
    high: tuple[int, ...]


class PolicyGraph(msgspec.Struct, frozen=True):
    """The contract of one module's ONNX graph; SPEC.md section 7 defines it.

    Attributes:
        observations: inputs for the observation as the simulator returns it, one per path.
        states: inputs for the previous step's state outputs, one row per observation; an episode
            begins with zeros, or with the tensor `initial_state/…` that comes with the weights.
        takes_reward: whether there is an input `reward` for the previous step's reward, float32,
            one per observation; 0 at the start of an episode.
        noise_size: columns of the input `noise`, uniform in (0, 1), one row per observation.
        weights: inputs with the module's parameters, in full shape.
        scalars: further inputs of shape [1], float32, with their default values.
        recorded: outputs to record, each under the column name it maps to.
        env_action: output with the action as the simulator expects it; none of the graph's outputs
            if actions are nested.
        env_actions: with nested actions, the outputs with their leaves: `env_action/<path>`.
        action_tuples: with nested actions, the paths above leaves, `env_action` among them, at
            which there is a Tuple; at the others there is a Dict.
        action_range: bounds that a recorded action in [-1, 1] is scaled to for the simulator;
            absent if both are the same, up to clipping.
        action_start: the simulator's number for each recorded index 0, element by element in C
            order; absent if the simulator counts from 0 as well.
        observation_ranges: bounds of the observations that are indices or flags, by path; a graph
            would treat others as if there were none.
        max_error: largest difference from the module when the graph was exported, relative to
            outputs that are larger than 1.
    """

    observations: tuple[TensorSpec, ...]
    noise_size: Size
    weights: tuple[TensorSpec, ...]
    scalars: dict[str, float]
    recorded: dict[str, str]
    env_action: TensorSpec
    max_error: float
    states: tuple[TensorSpec, ...] = ()
    takes_reward: bool = False
    action_range: ActionRange | msgspec.UnsetType = msgspec.UNSET
    action_start: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    env_actions: tuple[TensorSpec, ...] | msgspec.UnsetType = msgspec.UNSET
    action_tuples: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    observation_ranges: dict[str, IndexRange] | msgspec.UnsetType = msgspec.UNSET


class ModuleManifest(msgspec.Struct, frozen=True):
    """The columns recorded for the agents of one module, and the graph that acts for them."""

    columns: tuple[ColumnSpec, ...]
    graph: PolicyGraph
    lookback: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 0


class Manifest(msgspec.Struct, frozen=True):
    """The learner's instructions to its actors, sent through the broker.

    Attributes:
        modules: by module id.
        agents: which module acts for an agent, where the learner knows the agents' ids.
        infos: keys of Gymnasium's info dict to record, as columns `infos/<key>`.
        environment: the Gymnasium id that the learner's run file names, if any; an actor without
            an environment of its own uses it.
        environment_config: keyword arguments for that environment.
        environment_nested: further ones, whose values are lists and maps.
        compression: how actors should compress their batches; unset for not at all.
    """

    run: Name
    flow: Flow
    modules: Annotated[dict[ModuleId, ModuleManifest], msgspec.Meta(min_length=1)]
    multi_agent: bool = False
    infos: tuple[Name, ...] = ()
    environment: str | None = None
    environment_config: dict[str, str | int | float | bool | None] = {}
    environment_nested: dict[str, list[Any] | dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    agents: dict[str, ModuleId] | msgspec.UnsetType = msgspec.UNSET
    compression: Compression | msgspec.UnsetType = msgspec.UNSET

    @property
    def environment_arguments(self) -> dict[str, Any]:
        """All keyword arguments for the environment."""
        return {**self.environment_config, **(self.environment_nested or {})}


class Policy(msgspec.Struct, frozen=True):
    """A decoded policy frame."""

    manifest: Manifest
    graphs: dict[ModuleId, bytes]


_DECODER = msgspec.msgpack.Decoder(Policy)


def encode_policy(policy: Policy) -> bytes:
    """Returns the policy frame of a manifest and its graphs."""
    return msgspec.msgpack.encode(policy)


def policy_digest(frame: bytes | memoryview) -> str:
    """Returns the digest that names a policy frame: 128 bits of its SHA-256."""
    return hashlib.sha256(frame).hexdigest()[:32]


def decode_policy(frame: bytes | memoryview) -> Policy:
    """Returns the policy in a policy frame, after checking that each module is complete.

    Raises:
        RemoteProtocolError: the bytes are not a policy, or a module lacks a graph or a column.
    """
    try:
        policy = _DECODER.decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise RemoteProtocolError(
            RejectCode.INVALID_POLICY, f"not a policy frame: {error}"
        ) from error
    for module_id, module in policy.manifest.modules.items():
        fault = _module_fault(module)
        if module_id not in policy.graphs:
            fault = "has no graph"
        if fault:
            raise RemoteProtocolError(RejectCode.INVALID_POLICY, f"module {module_id!r} {fault}")
    return policy


def _module_fault(module: ModuleManifest) -> str | None:
    names = [column.name for column in module.columns]
    if len(set(names)) != len(names):
        return "names a column twice"
    for needed in (OBSERVATIONS, ACTIONS, REWARDS):
        if not any(is_column(needed, name) for name in names):
            return f"has no column {needed!r}"
    return None


def numpy_dtype(spec: TensorSpec) -> np.dtype[np.generic]:
    """Returns the NumPy dtype of a tensor."""
    return _numpy_dtype(spec.dtype)


@lru_cache(maxsize=64)
def _numpy_dtype(name: str) -> np.dtype[np.generic]:
    return np.dtype(name)
