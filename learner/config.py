"""What a run file and an RLlib script may set on a learner. Importable without Ray and torch."""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Literal

import msgspec

from headrace.protocol.identity import Count, Name

Positive = Annotated[float, msgspec.Meta(gt=0)]
MaxLag = Annotated[int, msgspec.Meta(ge=0)] | None
PolicyKind = Literal["graph", "rllib"]


class RunnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of `BrokerEnvRunner`, given as `env_config={"headrace": {…}}`.

    Attributes:
        address: see `BrokerAddress.parse`; empty for the invitation's, or the default.
        join: the file with an invitation, on each host that has runners; empty for a broker
            without keys. What is in it never enters a config or a checkpoint.
        run: the run's id, shown in `headrace status`.
        pull_timeout_s: `sample()` returns what there is after this long without enough data; keep
            it at or below half of RLlib's `sample_timeout_s`.
        takeover: end another learner on the same broker instead of being refused.
        newest_epoch: the newest epoch that a restored run has published under.
        publish_interval_s: shortest time between two published versions; None for what suits the
            algorithm, which is 1 s for off-policy ones and 0 for all others.
        max_policy_lag: data of older policy versions is not trained on; None for what suits the
            algorithm: 1 for PPO, 16 for APPO and IMPALA, no limit for DQN and SAC. With 0, PPO's
            fleet pauses while the learner trains.
        policy: what actors act with: the exported policy graph, or RLlib itself (`headrace actor
            --policy rllib`) for what cannot be exported.
        infos: keys of the simulator's info dict to record, for numbers; steps without one have none
            in `episode.infos` either.
        compression: whether actors compress their batches; None for LZ4 where they are pictures.
    """

    address: str = ""
    join: str = ""
    run: Name = "rllib"
    pull_timeout_s: Positive = 30.0
    takeover: bool = False
    newest_epoch: Count = 0
    publish_interval_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_policy_lag: MaxLag = None
    policy: PolicyKind = "graph"
    infos: tuple[Name, ...] = ()
    compression: Literal["lz4", "none"] | None = None


CONFIG_KEY = "headrace"
"""The key of `env_config` under which an RLlib script passes `RunnerConfig`."""


def __getattr__(name: str) -> Any:
    """Finds the sections of run files for checkpoints that name this module."""
    sections = importlib.import_module("headrace.learner.training.run_sections")
    if name.startswith("_") or not hasattr(sections, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sections, name)
