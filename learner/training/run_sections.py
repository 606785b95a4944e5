"""The sections of a run file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from headrace.learner.config import MaxLag, PolicyKind, Positive
from headrace.protocol.identity import Name


class StopSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a run ends: at the first criterion that is met.

    Attributes:
        episode_return_mean: mean return of RLlib's window of episodes.
        env_steps: env steps trained on.
        wall_s: seconds since the learner started.
    """

    episode_return_mean: float | None = None
    env_steps: Annotated[int, msgspec.Meta(gt=0)] | None = None
    wall_s: Positive | None = None


class RunSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[run]`.

    Attributes:
        name: also the folder's name under `runs/`.
        checkpoint_every_s: seconds between checkpoints; there is one at the end in any case.
    """

    name: Annotated[str, msgspec.Meta(max_length=128, pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    stop: StopSection = StopSection()
    seed: int | None = None
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
    """A Gymnasium Discrete."""

    n: Annotated[int, msgspec.Meta(ge=1)]


class DictSpace(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dict", tag_field="type"
):
    """A Gymnasium Dict."""

    spaces: dict[str, SpaceSection]


SpaceSection = BoxSpace | DiscreteSpace | DictSpace


class EnvironmentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[environment]`: a Gymnasium id, or the spaces of a simulator that has none.

    Attributes:
        id: what actors make, and what the learner asks for its spaces.
        multi_agent: in its stead, for several agents: `module:function`, which returns a PettingZoo
            environment or an RLlib MultiAgentEnv.
        config: keyword arguments for it.
        observation_space, action_space: for a simulator that plugs in by itself, such as
            `{ type = "box", shape = [4] }` and `{ type = "discrete", n = 2 }`.
    """

    id: str | None = None
    multi_agent: str | None = None
    config: dict[str, str | int | float | bool | None] = {}
    observation_space: SpaceSection | None = None
    action_space: SpaceSection | None = None


class LearnerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[learner]`: an RLlib algorithm, and what its config's methods of these names take.

    Attributes:
        algorithm: name of an RLlib algorithm, such as PPO.
        training, env_runners, learners, evaluation, reporting, fault_tolerance: keyword arguments
            of `AlgorithmConfig.training()` and so on. Without `num_env_runners` the learner samples
            in its own process.
        modules: with several agents, which module acts for whom: ids or patterns such as `red_*` by
            module id; the first that fits counts. One module acts for all if it is empty.
        callbacks: a subclass of RLlib's RLlibCallback, as `module:Class`.
        flatten_observations: put RLlib's FlattenObservations before the module.
        observation_filter: RLlib's MeanStdFilter, after that; its statistics are the learner's.
        frame_stack: so many of the newest pictures (height x width x 1); each travels once.
        model: keyword arguments of RLlib's DefaultModelConfig, such as fcnet_hiddens.
        pull_timeout_s, publish_interval_s, max_policy_lag, policy, infos, compression: see
            `RunnerConfig`.
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


class LearnerRun(msgspec.Struct, frozen=True):
    """All that a learner needs to know of a run.

    Attributes:
        address: of the broker; empty for the invitation's.
        join: the file with an invitation, as an absolute path; empty for none.
        folder: where checkpoints, metrics and pictures go.
        resume: go on from the newest checkpoint in `folder`, and take over from a learner that
            may still be connected.
    """

    run: RunSection
    environment: EnvironmentSection
    learner: LearnerSection
    address: str
    folder: str
    resume: bool = False
    join: str = ""
