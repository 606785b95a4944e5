"""Parts that several messages share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeVar

import msgspec

from headrace.protocol.identity import (
    BatchCount,
    Count,
    FleetCount,
    Name,
    PolicyVersion,
)

Purpose = Literal["train", "evaluate"]


class Totals(msgspec.Struct, frozen=True):
    """How the batches up to the acknowledged one ended; the counts sum to `acknowledged`.

    Attributes:
        stored: in the broker's journal, which is responsible for them from then on.
    """

    consumed: BatchCount = 0
    stale: BatchCount = 0
    rejected: BatchCount = 0
    dropped: BatchCount = 0
    stored: BatchCount = 0

    @property
    def ended(self) -> int:
        """The sum of all counts."""
        return self.consumed + self.stale + self.rejected + self.dropped + self.stored


class Ledger(msgspec.Struct, frozen=True):
    """Every batch of every actor: produced = consumed + stale + rejected + dropped + held."""

    produced: FleetCount = 0
    consumed: FleetCount = 0
    stale: FleetCount = 0
    rejected: FleetCount = 0
    dropped: FleetCount = 0
    held: FleetCount = 0


Counts = TypeVar("Counts", bound=msgspec.Struct)


def summed(kind: type[Counts], parts: Sequence[Counts]) -> Counts:
    """Returns a struct of counts whose fields are the sums of those of the parts."""
    return kind(*map(sum, zip(*map(msgspec.structs.astuple, parts), strict=True)))


class Credit(msgspec.Struct, frozen=True):
    """Permission to begin batches.

    Attributes:
        up_to: the highest sequence number that may be begun.
        fragment_steps: close a batch at this many env steps.
        fragment_s: close it after this many seconds, if that comes first.
        min_version: begin only with weights at least this new; credit can overtake weights.
    """

    up_to: BatchCount
    fragment_steps: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    fragment_s: Annotated[float, msgspec.Meta(gt=0)]
    min_version: PolicyVersion


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """The batches of one actor incarnation that a learner knows to have ended.

    Attributes:
        ended: every batch up to this one, as a lease reported.
        confirmed: the batches above it that this learner was handed and confirmed.
    """

    actor: Name
    incarnation: Count
    ended: BatchCount
    confirmed: tuple[BatchCount, ...] = ()


class HeldBatch(msgspec.Struct, frozen=True, array_like=True):
    """A batch that was leased to a learner and is not confirmed.

    Attributes:
        mark: the index of its incarnation in the hello's marks.
    """

    mark: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    seq: BatchCount


EnvStepLimit = Annotated[int, msgspec.Meta(ge=1, le=2**31)]


class EvaluationRequest(msgspec.Struct, frozen=True):
    """A learner session's request for whole evaluation episodes with greedy actions.

    Attributes:
        task: a name that no other request has.
        min_version: the weights to act with, or newer ones.
        max_env_steps: an episode that has this many is truncated; unset for no limit.
    """

    task: Name
    episodes: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    min_version: PolicyVersion
    max_env_steps: EnvStepLimit | msgspec.UnsetType = msgspec.UNSET


class EvaluationTask(msgspec.Struct, frozen=True):
    """An actor's share of an evaluation request.

    Attributes:
        episodes: whole episodes for this task, in all; each is pushed as one batch.
        max_env_steps: that of the request.
    """

    task: Name
    episodes: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    min_version: PolicyVersion
    max_env_steps: EnvStepLimit | msgspec.UnsetType = msgspec.UNSET


OptionValue = bool | int | float | str | None

Options = dict[Name, OptionValue | list[OptionValue]]
"""For `reset(options=…)` of an environment, with the types that every language has."""


class Assignment(msgspec.Struct, frozen=True):
    """The task that a learner assigns to simulators in training, from their next episodes on.

    Attributes:
        number: higher than in earlier assignments of the same learner run, such as microseconds
            since 1970. An assignment with a number that is not higher is ignored.
        task: named by the batches of these episodes, such as a level of a curriculum.
        options: for every reset of the environment, in Gymnasium's sense.
        seed: for the first of these resets; unset for a random one.
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    task: Name
    options: Options = {}
    seed: Count | msgspec.UnsetType = msgspec.UNSET


class LearnerProgress(msgspec.Struct, frozen=True):
    """A learner's training progress, for `headrace status`."""

    env_steps: Count = 0
    iteration: Count = 0
    episode_return_mean: float | None = None
