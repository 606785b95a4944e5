"""The sections of a run file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec

from headrace.learner.config import MaxLag, PolicyKind, Positive
from headrace.protocol.identity import Name


class StopSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a run ends: at the first criterion met.

    Attributes:
        episode_return_mean: mean return of RLlib's window of episodes.
        env_steps: env steps trained on.
        wall_s: seconds since the first data arrived.
    """

    episode_return_mean: float | None = None
    env_steps: Annotated[int, msgspec.Meta(gt=0)] | None = None
    wall_s: Positive | None = None


class RunSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[run]`: its name, and when it ends.

    Attributes:
        name: also the folder's name under `runs/`.
        stop: when the run ends; below.
        seed: of RLlib, and with `headrace up` of the environments.
        checkpoint_every_s: seconds between checkpoints; one more is always written at the end.
    """

    name: Annotated[str, msgspec.Meta(max_length=128, pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    stop: StopSection = StopSection()
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31)] | None = None
    checkpoint_every_s: Positive = 60.0


class BoxSpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="box", tag_field="type"
):
    """A Gymnasium Box; bounds are one number or one per element."""

    shape: tuple[int, ...]
    low: float | list[Any] = float("-inf")
    high: float | list[Any] = float("inf")
    dtype: str = "float32"


class DiscreteSpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="discrete", tag_field="type"
):
    """A Gymnasium Discrete: indices from `start` on."""

    n: Annotated[int, msgspec.Meta(ge=1)]
    start: int = 0


class MultiDiscreteSpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="multi_discrete", tag_field="type"
):
    """A Gymnasium MultiDiscrete; `start` has one number per element of `nvec`."""

    nvec: Annotated[list[Annotated[int, msgspec.Meta(ge=1)]], msgspec.Meta(min_length=1)]
    start: list[int] = []


class MultiBinarySpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="multi_binary", tag_field="type"
):
    """A Gymnasium MultiBinary of n flags."""

    n: Annotated[int, msgspec.Meta(ge=1)]


class TupleSpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="tuple", tag_field="type"
):
    """A Gymnasium Tuple."""

    spaces: list[SpaceSection]


class DictSpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dict", tag_field="type"
):
    """A Gymnasium Dict."""

    spaces: dict[str, SpaceSection]


SpaceSection = (
    BoxSpace | DiscreteSpace | MultiDiscreteSpace | MultiBinarySpace | TupleSpace | DictSpace
)


SPACE_TYPES = tuple(str(kind.__struct_config__.tag) for kind in get_args(SpaceSection))
"""The values of `type`."""


class EnvironmentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[environment]`: a Gymnasium id, or the spaces of a simulator that has none.

    Attributes:
        id: the environment that actors make, and whose spaces the learner reads: Gymnasium's id,
            `package:Name-v0` to import a package first, or `package:function`.
        multi_agent: used instead of `id` for several agents: `module:function`, which returns a
            PettingZoo environment or an RLlib MultiAgentEnv.
        config: keyword arguments for the environment.
        observation_space, action_space: for a simulator that connects on its own, such as
            `{ type = "box", shape = [4] }` and `{ type = "discrete", n = 2 }`.
    """

    id: str | None = None
    multi_agent: str | None = None
    config: dict[str, Any] = {}
    observation_space: SpaceSection | None = None
    action_space: SpaceSection | None = None


class LearnerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[learner]`: an RLlib algorithm, and arguments of its config's methods of these names.

    Attributes:
        algorithm: name of an RLlib algorithm, such as PPO.
        training: keyword arguments of `AlgorithmConfig.training()`.
        env_runners: keyword arguments of `AlgorithmConfig.env_runners()`. Without `num_env_runners`
            the learner samples in its own process.
        learners: keyword arguments of `AlgorithmConfig.learners()`.
        evaluation: keyword arguments of `AlgorithmConfig.evaluation()`.
        reporting: keyword arguments of `AlgorithmConfig.reporting()`.
        fault_tolerance: keyword arguments of `AlgorithmConfig.fault_tolerance()`.
        modules: with several agents, agent ids or patterns such as `red_*` by module id; the first
            match counts. If empty, one module acts for all agents.
        callbacks: a subclass of RLlib's RLlibCallback, as `module:Class`.
        connectors: RLlib's env-to-module connectors by name, such as PrevActionsPrevRewards, or
            your own as `package:Class`; they come before those of the next three keys.
        flatten_observations: put RLlib's FlattenObservations before the module.
        observation_filter: RLlib's MeanStdFilter, after that; the learner keeps its statistics.
        frame_stack: number of the newest images (height x width x 1) to stack; each is sent once.
        module: a TorchRLModule of your own, as `package:Class`; RLlib's default without it.
        model: keyword arguments of RLlib's DefaultModelConfig, such as fcnet_hiddens; with a module
            of your own, its `model_config`.

    The other keys are those of `RunnerConfig`.
    """

    algorithm: str = "PPO"
    training: dict[str, Any] = {}
    env_runners: dict[str, Any] = {}
    learners: dict[str, Any] = {}
    evaluation: dict[str, Any] = {}
    reporting: dict[str, Any] = {}
    fault_tolerance: dict[str, Any] = {}
    model: dict[str, Any] = {}
    modules: dict[Name, tuple[str, ...]] = {}
    callbacks: str | None = None
    flatten_observations: bool = False
    observation_filter: Literal["NoFilter", "MeanStdFilter"] = "NoFilter"
    frame_stack: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    pull_timeout_s: Positive = 30.0
    publish_interval_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_policy_lag: MaxLag = None
    policy: PolicyKind = "graph"
    infos: tuple[Name, ...] = ()
    compression: Literal["lz4", "none"] | None = None
    # Checkpoints hold the fields by position: new ones come last.
    module: str | None = None
    connectors: tuple[str, ...] = ()


class LearnerRun(msgspec.Struct, frozen=True):
    """Everything that a learner needs to know about a run.

    Attributes:
        addresses: of the learner's brokers; empty for the invitations'.
        join: the invitation files, as absolute paths; empty for none.
        folder: where checkpoints, metrics and curves are written.
        resume: continue from the newest checkpoint in `folder`.
        takeover: end another learner of the broker instead of being refused.
    """

    run: RunSection
    environment: EnvironmentSection
    learner: LearnerSection
    addresses: tuple[str, ...]
    folder: str
    resume: bool = False
    takeover: bool = False
    join: tuple[str, ...] = ()
