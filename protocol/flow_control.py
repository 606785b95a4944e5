"""Flow control: how much experience may be under way, which the broker turns into credit.

`broker/credit/windows.py` has the arithmetic.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

EnvSteps = Annotated[int, msgspec.Meta(ge=1, le=2**40)]
PolicyLag = Annotated[int, msgspec.Meta(ge=0)]


class OnPolicyFlow(msgspec.Struct, frozen=True, tag="on_policy", tag_field="strategy"):
    """Flow control for learners that collect a batch, train on it and publish (PPO).

    Attributes:
        train_batch_env_steps: env steps per update.
        overlap: share of the next batch that may be produced while the learner trains.
        max_policy_lag: older batches are stale.
        cut_on_new_weights: newer weights close an open batch.
    """

    train_batch_env_steps: EnvSteps
    overlap: Annotated[float, msgspec.Meta(ge=0, le=16)] = 1.0
    max_policy_lag: PolicyLag | None = 1
    cut_on_new_weights: bool = True


class AsynchronousFlow(msgspec.Struct, frozen=True, tag="asynchronous", tag_field="strategy"):
    """Flow control for learners that train while they collect (IMPALA, APPO).

    Attributes:
        version_env_steps: env steps from one published version to the next.
        versions_under_way: how many versions' worth of env steps may be under way.
        max_policy_lag: older batches are stale.
        cut_on_new_weights: newer weights close an open batch.
    """

    version_env_steps: EnvSteps
    versions_under_way: Annotated[float, msgspec.Meta(gt=0, le=1024)] = 4.0
    max_policy_lag: PolicyLag | None = 16
    cut_on_new_weights: bool = False


class OffPolicyFlow(msgspec.Struct, frozen=True, tag="off_policy", tag_field="strategy"):
    """Flow control for learners that replay old experience (DQN, SAC): nothing is ever stale.

    Attributes:
        sample_env_steps: env steps that the learner takes at once.
        samples_under_way: how many samples may be under way; more if actors would idle.
        fragment_s: longest time over which a batch is recorded.
        max_policy_lag: older batches are stale; None for no limit.
        cut_on_new_weights: newer weights close an open batch.
    """

    sample_env_steps: EnvSteps
    samples_under_way: Annotated[float, msgspec.Meta(gt=0, le=1024)] = 4.0
    fragment_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    max_policy_lag: PolicyLag | None = None
    cut_on_new_weights: bool = False


Flow = OnPolicyFlow | AsynchronousFlow | OffPolicyFlow
