"""The credit rule: how many env steps may be in flight at once, and which actor is next.

A PUSH socket hides batches in buffers, and every hidden batch is stale data. So an actor needs
credit to *begin* a batch, and is granted it for as many env steps as the learner will take while
they are fresh:

    grant while  queued + reserved < W

where the window W depends on the kind of learner (windows.py), and while the bytes that the broker
holds or expects are below their bound, so that large observations do not fill its memory and that
of its actors. A reservation ends when its batch arrives, when it expires (a dead actor must not
starve the learner), or with its actor's incarnation; credit never shrinks.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.broker.credit.averages import MovingAverage, RecentValues
from headrace.broker.credit.byte_budget import ByteBudget
from headrace.broker.credit.windows import CreditWindow, make_window
from headrace.protocol.identity import Origin, PolicyVersion
from headrace.protocol.manifest import Manifest
from headrace.protocol.messages import Credit

MAX_UNARRIVED = 4
_WHOLE_SHARE = 0.75
"""Of a whole fragment in what is reserved; the rest is what was granted last."""
_RECORDED_SHARE = 0.5
"""What was recorded, on average, of the batches that are being recorded."""
_ASSUMED_ROUND_TRIP_S = 0.05
_FLEETS_WEIGHT = 0.02
"""Weight of one batch in the fleet's average, which estimates an actor's first batches."""


class _Reservation(NamedTuple):
    """What a batch that has not arrived is expected to bring."""

    env_steps: int
    bytes: int
    made_at_s: float


@dataclass
class _Account:
    """Credit of one live incarnation: `granted` - `arrived` batches are outstanding.

    Attributes:
        begun: highest seq that may have been begun with an earlier broker's credit.
        recorded: the version that suffices for the batch that was being recorded when the newest
            version was published, and its seq.
    """

    granted: int
    arrived: int
    begun: int
    batch_steps: RecentValues = field(default_factory=RecentValues)
    reserved: dict[int, _Reservation] = field(default_factory=dict)
    recorded: tuple[int, PolicyVersion] | None = None

    @property
    def unarrived(self) -> int:
        return self.granted - self.arrived


class CreditControl:
    """Grants credit to live actors in turn; call `grant` after any other change."""

    def __init__(self, manifest: Manifest, max_held_bytes: float) -> None:
        self.window: CreditWindow = make_window(manifest.flow)
        self._budget = ByteBudget(max_held_bytes, manifest)
        self._accounts: dict[Origin, _Account] = {}
        # Accounts by number of unarrived credits; in each, the longest-waiting comes first.
        self._turns: list[OrderedDict[Origin, None]] = [
            OrderedDict() for _ in range(MAX_UNARRIVED + 1)
        ]
        self._fleets_batch_steps = MovingAverage(_FLEETS_WEIGHT)
        self._newest = PolicyVersion(0, 0)
        self._min_version = PolicyVersion(0, 0)
        self._fragment_steps = self.window.fragment_steps(0)
        self.reserved_steps = 0
        self.reserved_bytes = 0

    def adopt(self, manifest: Manifest) -> None:
        """Switches to another manifest; granted credit stays valid."""
        self.window = make_window(manifest.flow)
        self._budget.adopt(manifest)

    def join(self, origin: Origin, begun: int, arrived: int) -> None:
        """Opens an account for a live actor that has already begun batches up to `begun`."""
        if origin not in self._accounts:
            granted = max(begun, arrived)
            # Its actor may have begun one more, which was unfinished at the hello.
            self._accounts[origin] = _Account(granted, arrived, begun=granted + 1)
            self._queue_up(origin)

    def leave(self, origin: Origin) -> None:
        """Closes an account and frees its reservations."""
        account = self._accounts.pop(origin, None)
        if account is not None:
            self._dequeue(origin, account.unarrived)
            for seq in list(account.reserved):
                self._free(account, seq)

    def covers(self, origin: Origin, seq: int) -> bool:
        """Returns whether an actor may have begun a batch with credit."""
        account = self._accounts.get(origin)
        return account is not None and seq <= max(account.granted, account.begun)

    def arrived(self, origin: Origin, seq: int, env_steps: int | None, size_bytes: int = 0) -> None:
        """Records an arrived batch of `origin`; `env_steps` is None if it is not for training."""
        account = self._accounts.get(origin)
        if account is None:
            return
        before = account.unarrived
        if env_steps is not None:
            account.batch_steps.add(env_steps)
            self._fleets_batch_steps.add(env_steps)
            self._budget.weigh(env_steps, size_bytes)
        self._free(account, seq)
        account.arrived = max(account.arrived, seq)
        account.granted = max(account.granted, account.arrived)
        self._dequeue(origin, before)
        self._queue_up(origin)

    def caught_up(self, origin: Origin, accepted: int) -> None:
        """Records that batches up to `accepted` will not arrive: a learner already has them."""
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
        """Records a new version, which starts the next update.

        Credit granted before requires it too, unless its batches will still be delivered within the
        allowed lag: so may be those that are being recorded, which arrive before all others.
        """
        self._newest = version
        self.window.published(now_s, queue_env_steps)
        self._need(queue_env_steps + self.reserved_steps)
        before = queue_env_steps
        for account in sorted(self._accounts.values(), key=_recorded_since):
            reservation = account.reserved.get(account.arrived + 1)
            account.recorded = None
            if reservation is not None:
                account.recorded = account.arrived + 1, self._needed_after(before)
                before += reservation.env_steps

    def expire(self, now_s: float) -> None:
        """Drops overdue reservations; their credit stays valid."""
        limit_s = max(1.0, 4 * (self.window.fragment_s + _ASSUMED_ROUND_TRIP_S))
        for account in self._accounts.values():
            for seq, reservation in list(account.reserved.items()):
                if now_s - reservation.made_at_s <= limit_s:
                    break  # reservations are in order of time
                self._free(account, seq)

    def grant(self, queue_env_steps: int, held_bytes: int, now_s: float) -> list[Origin]:
        """Grants as much as the window and the memory allow; returns whose credit grew.

        Args:
            held_bytes: of all batches that are queued or leased.
        """
        self._fragment_steps = self.next_fragment_steps(queue_env_steps)
        # An actor begins with the newest grant that it has, which may allow more, or less.
        whole = min(self.window.fragment_steps(len(self._accounts)), self._budget.most_env_steps)
        fragment = _WHOLE_SHARE * whole + (1 - _WHOLE_SHARE) * self._fragment_steps
        target = self.window.target_steps(len(self._accounts)) + self._slack_steps(fragment)
        changed: dict[Origin, None] = {}
        while (outstanding := queue_env_steps + self.reserved_steps) < target:
            if outstanding and self._is_full(held_bytes):
                break  # a learner that waits for data gets at least one batch at a time
            origin = self._next_in_turn()
            if origin is None:
                break
            account = self._accounts[origin]
            self._need(outstanding)
            self._dequeue(origin, account.unarrived)
            account.granted += 1
            # The longest of its recent batches: those that new weights cut short do not predict the
            # next, and reserving too little overfills the window.
            expected = account.batch_steps.largest or self._fleets_batch_steps.value or fragment
            steps = round(min(fragment, expected))
            reservation = _Reservation(steps, self._budget.expected_bytes(steps), now_s)
            account.reserved[account.granted] = reservation
            self.reserved_steps += steps
            self.reserved_bytes += reservation.bytes
            self._queue_up(origin)
            changed[origin] = None
        return list(changed)

    def next_fragment_steps(self, queue_env_steps: int) -> int:
        """Env steps of a batch that is begun now, by the window and by what they weigh."""
        fragment = self.window.next_fragment_steps(len(self._accounts), queue_env_steps)
        return min(fragment, self._budget.most_env_steps)

    def _slack_steps(self, fragment: float) -> float:
        """What may be outstanding beyond the window where the fleet is slower than the learner.

        Batches are reserved as a whole when they begin. Where actors pause for lack of credit
        although the learner waits for them, only what they have recorded counts.
        """
        expected = min(fragment, self._fleets_batch_steps.value or fragment)
        recording = min(self.reserved_steps, len(self._accounts) * expected)
        return min(self.window.short_steps, (1 - _RECORDED_SHARE) * recording)

    def _is_full(self, held_bytes: int) -> bool:
        return held_bytes + self.reserved_bytes >= self._budget.max_held_bytes

    def credit_of(self, origin: Origin) -> Credit | None:
        """Returns the credit to send to an actor; None if it has no account."""
        account = self._accounts.get(origin)
        if account is None:
            return None
        min_version = self._min_version
        if account.recorded is not None and account.recorded[0] == account.arrived + 1:
            min_version = min(min_version, account.recorded[1])
        return Credit(
            up_to=account.granted,
            fragment_steps=self._fragment_steps,
            fragment_s=self.window.fragment_s,
            min_version=min_version,
        )

    def unarrived_of(self, origin: Origin) -> int:
        """Returns how many of an actor's granted batches have not arrived."""
        account = self._accounts.get(origin)
        return 0 if account is None else account.unarrived

    def _need(self, outstanding_steps: int) -> None:
        self._min_version = max(self._min_version, self._needed_after(outstanding_steps))

    def _needed_after(self, steps_before: int) -> PolicyVersion:
        number = self.window.needed_number(self._newest.number, steps_before)
        return PolicyVersion(self._newest.epoch, number)

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
        reservation = account.reserved.pop(seq, None)
        if reservation is not None:
            self.reserved_steps -= reservation.env_steps
            self.reserved_bytes -= reservation.bytes


def _recorded_since(account: _Account) -> float:
    reservation = account.reserved.get(account.arrived + 1)
    return math.inf if reservation is None else reservation.made_at_s
