"""The learner settings of run files and RLlib scripts. Importable without Ray and torch."""

from __future__ import annotations

import importlib
from typing import Annotated, Any, Literal

import msgspec

from headrace.protocol.identity import Count, Name

Positive = Annotated[float, msgspec.Meta(gt=0)]
MaxLag = Annotated[int, msgspec.Meta(ge=0, le=2**40)] | None
Address = Annotated[str, msgspec.Meta(min_length=1)]
PolicyKind = Literal["graph", "rllib"]


class RunnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of `BrokerEnvRunner`, given as `env_config={"headrace": {…}}`.

    Attributes:
        address: see `BrokerAddress.parse`; empty for the invitation's, or the default.
        addresses: of several brokers, each with actors of its own, instead of `address`.
        join: the invitation file, present on each host that has runners; empty for a broker
            without keys. Its contents never enter a config or a checkpoint. Several brokers have
            one each, in the order of `addresses`.
        run: the run's id, shown in `headrace status`.
        pull_timeout_s: after this long without enough data, `sample()` returns what it has; keep
            it at or below half of RLlib's `sample_timeout_s`.
        takeover: end another learner on the same broker instead of being refused.
        newest_epoch: the newest epoch in which a restored run has published.
        publish_interval_s: shortest time between two published versions; None for the algorithm's
            default: 1 s for off-policy algorithms and 0 for all others.
        max_policy_lag: data of older policy versions is not trained on; None for the algorithm's
            default: 1 for PPO, 16 for APPO and IMPALA, no limit for DQN and SAC. With 0, PPO's
            fleet pauses while the learner trains.
        policy: how actors act: with the exported policy graph, or with RLlib itself (`headrace
            actor --policy rllib`) for policies that cannot be exported.
        infos: keys of numbers in the simulator's info dict to record; steps without a key have
            none in `episode.infos` either.
        compression: whether actors compress their batches; None for LZ4 if they contain images.
    """

    address: str = ""
    addresses: tuple[Address, ...] = ()
    join: str | tuple[str, ...] = ""
    run: Name = "rllib"
    pull_timeout_s: Positive = 30.0
    takeover: bool = False
    newest_epoch: Count = 0
    publish_interval_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_policy_lag: MaxLag = None
    policy: PolicyKind = "graph"
    infos: tuple[Name, ...] = ()
    compression: Literal["lz4", "none"] | None = None


def join_files(join: str | tuple[str, ...]) -> tuple[str, ...]:
    """Returns the invitation files of `RunnerConfig.join`."""
    if isinstance(join, str):
        return (join,) if join else ()
    return join


CONFIG_KEY = "headrace"
"""The key of `env_config` under which an RLlib script passes `RunnerConfig`."""


def __getattr__(name: str) -> Any:
    """Resolves the sections of run files for checkpoints that name this module."""
    sections = importlib.import_module("headrace.learner.training.run_sections")
    if name.startswith("_") or not hasattr(sections, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sections, name)
