"""What several messages carry."""

from __future__ import annotations

from typing import Annotated, Literal

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
    """How the batches up to the acknowledged one ended; all add up to `acknowledged`.

    Attributes:
        stored: they are in the broker's journal, which answers for them from then on.
    """

    consumed: BatchCount = 0
    stale: BatchCount = 0
    rejected: BatchCount = 0
    dropped: BatchCount = 0
    stored: BatchCount = 0

    @property
    def ended(self) -> int:
        """All of them."""
        return self.consumed + self.stale + self.rejected + self.dropped + self.stored


class Ledger(msgspec.Struct, frozen=True):
    """Every batch of every actor: produced = consumed + stale + rejected + dropped + held."""

    produced: FleetCount = 0
    consumed: FleetCount = 0
    stale: FleetCount = 0
    rejected: FleetCount = 0
    dropped: FleetCount = 0
    held: FleetCount = 0


class Credit(msgspec.Struct, frozen=True):
    """Permission to begin batches.

    Attributes:
        up_to: the highest sequence number that may be begun.
        fragment_steps: close a batch at this many env steps,
        fragment_s: or after this many seconds, whichever comes first.
        min_version: begin only with weights at least this new; credit can overtake weights.
    """

    up_to: BatchCount
    fragment_steps: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    fragment_s: Annotated[float, msgspec.Meta(gt=0)]
    min_version: PolicyVersion


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What a learner knows to have ended of one incarnation of an actor.

    Attributes:
        ended: every batch up to this one, as a lease told.
        confirmed: the batches above it that this learner was handed and confirmed.
    """

    actor: Name
    incarnation: Count
    ended: BatchCount
    confirmed: tuple[BatchCount, ...] = ()


class HeldBatch(msgspec.Struct, frozen=True, array_like=True):
    """A batch that a learner was leased and has not confirmed.

    Attributes:
        mark: the index of its incarnation in the hello's marks.
    """

    mark: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    seq: BatchCount


class EvaluationRequest(msgspec.Struct, frozen=True):
    """What a learner session wants evaluated: so many whole episodes, greedy.

    Attributes:
        task: a name that no other request has.
        min_version: the weights to act with, or newer ones.
    """

    task: Name
    episodes: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    min_version: PolicyVersion


class EvaluationTask(msgspec.Struct, frozen=True):
    """What an actor is to run for a request.

    Attributes:
        episodes: whole episodes for this task, in all; each is pushed as one batch.
    """

    task: Name
    episodes: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    min_version: PolicyVersion


OptionValue = bool | int | float | str | None

Options = dict[Name, OptionValue | list[OptionValue]]
"""What `reset(options=…)` of an environment takes, as far as every language has it."""


class Assignment(msgspec.Struct, frozen=True):
    """What the learner wants simulators to run in training, from their next episodes on.

    Attributes:
        number: a later assignment of the same learner run has a higher one; microseconds since 1970
            do. One that is not higher is ignored.
        task: what the batches of these episodes echo, such as a level of a curriculum.
        options: for every reset of the environment, in Gymnasium's sense.
        seed: for the first of these resets; unset for a random one.
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    task: Name
    options: Options = {}
    seed: Count | msgspec.UnsetType = msgspec.UNSET


class LearnerProgress(msgspec.Struct, frozen=True):
    """What a learner tells about its training, for `headrace status`."""

    env_steps: Count = 0
    iteration: Count = 0
    episode_return_mean: float | None = None
