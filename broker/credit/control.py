"""The credit rule: how many env steps may be under way at once, and whose turn it is.

A PUSH socket hides batches in buffers, and every hidden batch is stale data. So permission is given
to *begin* a batch, for as many env steps as the learner will take while they are fresh:

    grant while  queued + reserved < W

where the window W depends on the kind of learner (windows.py). A reservation ends when its batch
arrives, when it expires (a dead actor must not starve the learner), or with its actor's
incarnation; credits never shrink.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from headrace.broker.credit.averages import MovingAverage, RecentExtremes
from headrace.broker.credit.windows import CreditWindow, make_window
from headrace.protocol.flow_control import Flow
from headrace.protocol.identity import Origin, PolicyVersion
from headrace.protocol.messages import Credit

MAX_UNARRIVED = 4
_ASSUMED_ROUND_TRIP_S = 0.05
_FLEETS_WEIGHT = 0.02
"""Of one batch in the fleet's average, from which an actor's first batches are guessed."""


@dataclass
class _Account:
    """Credit of one live incarnation: `granted` - `arrived` batches are still to come.

    Attributes:
        begun: up to here batches were begun with the credit of an earlier broker.
    """

    granted: int
    arrived: int
    begun: int
    batch_steps: RecentExtremes = field(default_factory=RecentExtremes)
    reserved: dict[int, tuple[int, float]] = field(default_factory=dict)

    @property
    def unarrived(self) -> int:
        return self.granted - self.arrived


class CreditControl:
    """Grants credit to live actors in turn; call `grant` after anything else has changed."""

    def __init__(self, flow: Flow) -> None:
        self.window: CreditWindow = make_window(flow)
        self._accounts: dict[Origin, _Account] = {}
        # Accounts by the number of unarrived credits; in each, the one ready longest comes first.
        self._turns: list[OrderedDict[Origin, None]] = [
            OrderedDict() for _ in range(MAX_UNARRIVED + 1)
        ]
        self._fleets_batch_steps = MovingAverage(_FLEETS_WEIGHT)
        self._newest = PolicyVersion(0, 0)
        self._min_version = PolicyVersion(0, 0)
        self._queue_env_steps = 0
        self.reserved_steps = 0

    def adopt(self, flow: Flow) -> None:
        """Goes on under the flow of another manifest; credits that were granted stay."""
        self.window = make_window(flow)

    def join(self, origin: Origin, begun: int, arrived: int) -> None:
        """Opens an account for a live actor that has begun batches up to `begun` already."""
        if origin not in self._accounts:
            granted = max(begun, arrived)
            # One more may have been begun, and was not finished when its actor spoke.
            self._accounts[origin] = _Account(granted, arrived, begun=granted + 1)
            self._queue_up(origin)

    def leave(self, origin: Origin) -> None:
        """Closes an account; what it reserved is free."""
        account = self._accounts.pop(origin, None)
        if account is not None:
            self._dequeue(origin, account.unarrived)
            for seq in list(account.reserved):
                self._free(account, seq)

    def covers(self, origin: Origin, seq: int) -> bool:
        """Returns whether an actor may have begun a batch with permission."""
        account = self._accounts.get(origin)
        return account is not None and seq <= max(account.granted, account.begun)

    def arrived(self, origin: Origin, seq: int, env_steps: int | None) -> None:
        """Notes an arrived batch of `origin`; one that is not for training has no env steps."""
        account = self._accounts.get(origin)
        if account is None:
            return
        before = account.unarrived
        if env_steps is not None:
            account.batch_steps.add(env_steps)
            self._fleets_batch_steps.add(env_steps)
        self._free(account, seq)
        account.arrived = max(account.arrived, seq)
        account.granted = max(account.granted, account.arrived)
        self._dequeue(origin, before)
        self._queue_up(origin)

    def caught_up(self, origin: Origin, accepted: int) -> None:
        """Notes that batches up to `accepted` need not arrive: a learner has them already."""
        account = self._accounts.get(origin)
        if account is None or accepted <= account.arrived:
            return
        before = account.unarrived
        for seq in [seq for seq in account.reserved if seq <= accepted]:
            self._free(account, seq)
        account.arrived = accepted
        account.granted = max(account.granted, accepted)
        self._dequeue(origin, before)
        self._queue_up(origin)

    def published(self, version: PolicyVersion, queue_env_steps: int, now_s: float) -> None:
        """Notes a new version, with which the next update begins.

        Credits that were granted before need it too, unless what they begin is still delivered
        within the lag that is allowed.
        """
        self._newest = version
        self.window.published(now_s)
        self._need(queue_env_steps + self.reserved_steps)

    def expire(self, now_s: float) -> None:
        """Counts overdue reservations as 0 steps; their credits stay valid."""
        limit_s = max(1.0, 4 * (self.window.fragment_s + _ASSUMED_ROUND_TRIP_S))
        for account in self._accounts.values():
            for seq, (_, reserved_at_s) in list(account.reserved.items()):
                if now_s - reserved_at_s <= limit_s:
                    break  # reservations are in the order of their times
                self._free(account, seq)

    def grant(self, queue_env_steps: int, now_s: float) -> list[Origin]:
        """Grants what fits into the window; returns the actors whose credit grew."""
        fragment = self.window.fragment_steps(len(self._accounts), queue_env_steps)
        self._queue_env_steps = queue_env_steps
        target = self.window.target_steps(len(self._accounts))
        changed: dict[Origin, None] = {}
        while (outstanding := queue_env_steps + self.reserved_steps) < target:
            origin = self._next_in_turn()
            if origin is None:
                break
            account = self._accounts[origin]
            self._need(outstanding)
            self._dequeue(origin, account.unarrived)
            account.granted += 1
            # The longest of its last ones: those that new weights cut, or that were to be short,
            # say nothing of the next, and what is reserved too low overfills the window.
            expected = account.batch_steps.largest or self._fleets_batch_steps.value or fragment
            steps = round(min(fragment, expected))
            account.reserved[account.granted] = (steps, now_s)
            self.reserved_steps += steps
            self._queue_up(origin)
            changed[origin] = None
        return list(changed)

    def credit_of(self, origin: Origin) -> Credit | None:
        """Returns the credit to tell an actor, None if it has no account."""
        account = self._accounts.get(origin)
        if account is None:
            return None
        return Credit(
            up_to=account.granted,
            fragment_steps=self.window.fragment_steps(len(self._accounts), self._queue_env_steps),
            fragment_s=self.window.fragment_s,
            min_version=self._min_version,
        )

    def unarrived_of(self, origin: Origin) -> int:
        """Returns how many granted batches of an actor have not arrived."""
        account = self._accounts.get(origin)
        return 0 if account is None else account.unarrived

    def _need(self, outstanding_steps: int) -> None:
        number = self.window.needed_number(self._newest.number, outstanding_steps)
        self._min_version = max(self._min_version, PolicyVersion(self._newest.epoch, number))

    def _next_in_turn(self) -> Origin | None:
        for waiting in self._turns[:MAX_UNARRIVED]:
            if waiting:
                return next(iter(waiting))
        return None

    def _queue_up(self, origin: Origin) -> None:
        unarrived = self._accounts[origin].unarrived
        self._turns[min(unarrived, MAX_UNARRIVED)][origin] = None

    def _dequeue(self, origin: Origin, unarrived: int) -> None:
        self._turns[min(unarrived, MAX_UNARRIVED)].pop(origin, None)

    def _free(self, account: _Account, seq: int) -> None:
        steps, _ = account.reserved.pop(seq, (0, 0.0))
        self.reserved_steps -= steps
