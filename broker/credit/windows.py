"""The credit window for each kind of learner: how many env steps may be in flight at once."""

from __future__ import annotations

import abc
import math
from typing import assert_never

from headrace.broker.credit.averages import RecentValues
from headrace.protocol.flow_control import AsynchronousFlow, Flow, OffPolicyFlow, OnPolicyFlow

_MIN_FRAGMENT_STEPS = 16
_MAX_OFF_POLICY_FRAGMENT_STEPS = 256
_BATCHES_PER_ACTOR = 4
_ON_POLICY_BATCHES_PER_ACTOR = 2
_SHORT_UPDATES = 3
_LAST_SHARE = 0.1
"""Of an update: its last env steps, which all actors share."""
_LEAST_SHARE = 0.8
"""Of a fragment, in a batch before these."""

_SHORTEST_FRAGMENT_S, _LONGEST_FRAGMENT_S = 0.02, 5.0


def _clamp(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))


class CreditWindow(abc.ABC):
    """The size of the credit window W, and of the fragments F that fill it.

    If a learner has several brokers, each has a share of one window, so that data is no older than
    with one broker.
    """

    def __init__(self) -> None:
        self._delivered = 0
        self._is_alone = True
        self._share = 1.0
        self._asked_steps: int | None = None
        self._published_at_s: float | None = None
        self._version_s = RecentValues()

    @abc.abstractmethod
    def target_steps(self, live_actors: int) -> float:
        """W: env steps that may be queued or reserved."""

    @abc.abstractmethod
    def fragment_steps(self, live_actors: int) -> int:
        """F: env steps of one batch."""

    def next_fragment_steps(self, live_actors: int, queue_env_steps: int) -> int:
        """Env steps of a batch that is begun now: F, or less."""
        return self.fragment_steps(live_actors)

    @property
    @abc.abstractmethod
    def fragment_s(self) -> float:
        """The time limit of one batch, which ends at this or at `fragment_steps`."""

    @property
    def short_steps(self) -> float:
        """Env steps by which the fleet is too slow for the learner; 0 if that is not known."""
        return 0.0

    @abc.abstractmethod
    def needed_number(self, newest: int, outstanding_steps: float) -> int:
        """The oldest version number that is not stale when a batch begun now is delivered."""

    def divide(self, share: float | None, asked_steps: int | None) -> None:
        """Reduces the window to one broker's share of it.

        Args:
            share: None for the only broker.
            asked_steps: what the sessions asked of this broker and were not leased; None until they
                have asked for data to train the newest version with.
        """
        self._is_alone = share is None
        self._share = 1.0 if share is None else share
        self._asked_steps = None if share is None else asked_steps

    def delivered(self, env_steps: int) -> None:
        """Counts env steps that were leased to a learner session."""
        self._delivered += env_steps

    def published(self, now_s: float, queue_env_steps: int = 0) -> None:
        """Records a new version, and what was ready for the update that it begins."""
        if self._published_at_s is not None:
            self._version_s.add(now_s - self._published_at_s)
        self._published_at_s = now_s
        self._delivered = 0


class OnPolicyWindow(CreditWindow):
    """For a learner that collects, then trains: the rest of its train batch, and an overlap."""

    def __init__(self, flow: OnPolicyFlow) -> None:
        super().__init__()
        self._flow = flow
        self._short_steps = RecentValues(_SHORT_UPDATES)
        for _ in range(_SHORT_UPDATES):  # nothing is ready for the first ones
            self._short_steps.add(0.0)

    @property
    def missing_steps(self) -> int:
        """Env steps that the learner still needs before it trains; 0 while it trains."""
        if self._asked_steps is not None:
            return min(self._asked_steps, self._flow.train_batch_env_steps)
        return max(0, round(self._batch_steps) - self._delivered)

    def target_steps(self, live_actors: int) -> float:
        """Returns what this update still needs, and a share of the next one."""
        return self.missing_steps + self._flow.overlap * self._batch_steps

    @property
    def short_steps(self) -> float:
        """Returns what the last updates all lacked when they began.

        It is not known of a broker beside others, which may have delivered its part; and without an
        overlap nothing is ready for any update.
        """
        if not self._is_alone or not self._flow.overlap:
            return 0.0
        return self._short_steps.smallest or 0.0

    def published(self, now_s: float, queue_env_steps: int = 0) -> None:
        """Records a new version, and what was ready for the update that it begins."""
        super().published(now_s)
        self._short_steps.add(max(0.0, self._batch_steps - queue_env_steps))

    @property
    def _batch_steps(self) -> float:
        return self._share * self._flow.train_batch_env_steps

    def fragment_steps(self, live_actors: int) -> int:
        """Returns a size that gives each actor two fragments per update, within fixed bounds."""
        batch, actors = self._flow.train_batch_env_steps, max(live_actors, 1)
        update_steps = max(self._flow.overlap, 0.5) * self._batch_steps
        share = update_steps / (_ON_POLICY_BATCHES_PER_ACTOR * actors)
        return int(_clamp(share, min(_MIN_FRAGMENT_STEPS, batch), max(batch / 16, 1)))

    def next_fragment_steps(self, live_actors: int, queue_env_steps: int) -> int:
        """Returns F, or less for the last env steps of an update.

        These are divided among all actors, so that the learner does not wait for whole fragments
        when the queue is a few steps short (guided self-scheduling, Polychronopoulos and Kuck
        1987). Before these, a bound keeps slow fleets from sending ever smaller batches.
        """
        fragment = self.fragment_steps(live_actors)
        short = self.missing_steps - queue_env_steps
        if short <= 0:
            return fragment
        part = short / max(live_actors, 1)
        if short > _LAST_SHARE * self._batch_steps:
            part = max(part, _LEAST_SHARE * fragment)
        return min(fragment, math.ceil(part))

    @property
    def fragment_s(self) -> float:
        """A third of the typical update, so that slow actors stay fresh, within fixed bounds.

        The typical update includes waiting for data. A third of it makes the next one longer by a
        third of that at most, so batches and updates do not make one another ever longer.
        """
        share_s = 0.35 * (self._version_s.median or 1.0)
        return _clamp(share_s, _SHORTEST_FRAGMENT_S, _LONGEST_FRAGMENT_S)

    def needed_number(self, newest: int, outstanding_steps: float) -> int:
        """Counts one more version once all of this update's steps are in flight."""
        version_at_delivery = newest if outstanding_steps < self.missing_steps else newest + 1
        return _oldest_fresh(newest, version_at_delivery, self._flow.max_policy_lag)


class AsynchronousWindow(CreditWindow):
    """For a learner that trains while it collects: a fixed number of versions' worth of steps."""

    def __init__(self, flow: AsynchronousFlow) -> None:
        super().__init__()
        self._flow = flow

    def target_steps(self, live_actors: int) -> float:
        """Returns what the learner takes in `versions_under_way` versions."""
        return self._share * self._flow.versions_under_way * self._flow.version_env_steps

    def fragment_steps(self, live_actors: int) -> int:
        """Returns a size that gives several fragments per actor, each at most half a version."""
        share = self.target_steps(live_actors) / (_BATCHES_PER_ACTOR * max(live_actors, 1))
        version = self._flow.version_env_steps
        return int(_clamp(share, min(_MIN_FRAGMENT_STEPS, version), max(version / 2, 1)))

    @property
    def fragment_s(self) -> float:
        """A quarter of the allowed lag, at most one version.

        By the fastest recent version, because the others include waiting for data: with the mean,
        slow data would make batches longer, and longer batches would make data slower.
        """
        limit = self._flow.max_policy_lag
        versions = 4 if limit is None else _clamp(limit, 1, 4)
        share_s = 0.25 * versions * (self._version_s.smallest or 1.0)
        return _clamp(share_s, _SHORTEST_FRAGMENT_S, _LONGEST_FRAGMENT_S)

    def needed_number(self, newest: int, outstanding_steps: float) -> int:
        """Counts the versions that the steps in flight will make."""
        version_steps = max(1.0, self._share * self._flow.version_env_steps)
        version_at_delivery = newest + int(outstanding_steps // version_steps) + 1
        return _oldest_fresh(newest, version_at_delivery, self._flow.max_policy_lag)


class OffPolicyWindow(CreditWindow):
    """For a learner with a replay buffer: enough for it, and enough to keep every actor busy.

    No batch gets stale, so the fleet is not throttled to a few actors at a time when one `sample()`
    takes a single step, as DQN's does.
    """

    def __init__(self, flow: OffPolicyFlow) -> None:
        super().__init__()
        self._flow = flow

    def target_steps(self, live_actors: int) -> float:
        """Returns `samples_under_way` samples' worth, at least two fragments per actor."""
        samples = self._share * self._flow.samples_under_way * self._flow.sample_env_steps
        return max(samples, 2 * live_actors * self.fragment_steps(live_actors))

    def fragment_steps(self, live_actors: int) -> int:
        """Returns an actor's share of the steps in flight, within fixed bounds."""
        samples = self._share * self._flow.samples_under_way * self._flow.sample_env_steps
        share = samples / (_BATCHES_PER_ACTOR * max(live_actors, 1))
        return int(_clamp(share, _MIN_FRAGMENT_STEPS, _MAX_OFF_POLICY_FRAGMENT_STEPS))

    @property
    def fragment_s(self) -> float:
        """A fixed time, after which slow simulators deliver what they have."""
        return self._flow.fragment_s

    def needed_number(self, newest: int, outstanding_steps: float) -> int:
        """Returns the oldest version that is not stale; 0 if there is no limit."""
        return _oldest_fresh(newest, newest, self._flow.max_policy_lag)


def make_window(flow: Flow) -> CreditWindow:
    """Returns the window for a manifest's flow."""
    match flow:
        case OnPolicyFlow():
            return OnPolicyWindow(flow)
        case AsynchronousFlow():
            return AsynchronousWindow(flow)
        case OffPolicyFlow():
            return OffPolicyWindow(flow)
        case _:
            assert_never(flow)


def _oldest_fresh(newest: int, at_delivery: int, limit: int | None) -> int:
    """Caps at the newest: a higher number would deadlock, since no actor could begin a batch."""
    return 0 if limit is None else min(newest, max(0, at_delivery - limit))
