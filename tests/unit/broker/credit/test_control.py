from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.examples import make_image_module, make_manifest

from headrace.broker.credit.control import MAX_UNARRIVED, CreditControl
from headrace.protocol.flow_control import (
    AsynchronousFlow,
    Flow,
    OffPolicyFlow,
    OnPolicyFlow,
)
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.limits import MIB
from headrace.protocol.manifest import Manifest

BATCH = 1000
A, B = ("a", 1), ("b", 1)


LIMIT_BYTES = 2_000_000


def flow_manifest(flow: Flow) -> Manifest:
    return msgspec.structs.replace(make_manifest(), flow=flow)


def make_control(**flow: Any) -> CreditControl:
    control = CreditControl(make_manifest(batch=BATCH, **flow), LIMIT_BYTES)
    control.published(PolicyVersion(1, 1), 0, 0.0)
    return control


def min_version_of(control: CreditControl, origin: tuple[str, int]) -> PolicyVersion:
    credit = control.credit_of(origin)
    assert credit is not None
    return credit.min_version


class TestControl:
    def test_a_lone_actor_gets_the_maximum_credit(self) -> None:
        control = make_control()
        control.join(A, begun=0, arrived=0)
        assert control.grant(0, 0, 0.0) == [A]
        credit = control.credit_of(A)
        assert credit is not None
        assert (credit.up_to, credit.fragment_steps) == (MAX_UNARRIVED, 62)

    def test_actors_take_turns(self) -> None:
        control = CreditControl(flow_manifest(AsynchronousFlow(version_env_steps=100)), LIMIT_BYTES)
        for index in range(100):
            control.join((f"actor-{index}", 1), 0, 0)
        control.grant(0, 0, 0.0)
        granted = [control.unarrived_of((f"actor-{index}", 1)) for index in range(100)]
        assert sum(granted) == 400 / 16
        assert set(granted) == {0, 1}

    def test_a_full_queue_stops_grants(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        assert control.grant(2 * BATCH, 0, 0.0) == []

    def test_reservations_follow_the_actual_batch_size(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        for seq in range(1, 5):
            control.arrived(A, seq, env_steps=10)
        assert control.reserved_steps == 0
        control.grant(0, 0, 0.0)
        assert control.reserved_steps == 4 * 10

    def test_batches_that_were_cut_short_do_not_lower_reservations(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        for seq, steps in ((1, 30), (2, 4), (3, 1), (4, 7)):
            control.arrived(A, seq, env_steps=steps)
        control.grant(0, 0, 0.0)
        assert control.reserved_steps == 4 * 30

    def test_an_actors_first_batches_are_estimated_from_the_fleets(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        for seq in range(1, 5):
            control.arrived(A, seq, env_steps=10)
        control.leave(A)
        control.join(B, 0, 0)
        control.grant(0, 0, 0.0)
        assert control.reserved_steps == 4 * 10

    def test_a_dead_actors_reservations_expire_and_its_credit_stays(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        control.expire(0.9)
        assert control.reserved_steps > 0
        control.expire(1.7)
        assert control.reserved_steps == 0
        assert control.unarrived_of(A) == MAX_UNARRIVED

    def test_what_is_being_recorded_when_weights_are_published_is_not_outdated_if_it_is_needed(
        self,
    ) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        control.published(PolicyVersion(1, 2), 0, 1.0)
        control.grant(0, 0, 1.0)
        assert min_version_of(control, A) == PolicyVersion(1, 1)
        control.arrived(A, 1, 10)
        control.published(PolicyVersion(1, 3), BATCH, 2.0)
        assert min_version_of(control, A) == PolicyVersion(1, 3), "others are enough"

    def test_an_actor_that_leaves_frees_its_reservations(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        control.leave(A)
        assert (control.reserved_steps, control.credit_of(A)) == (0, None)
        control.leave(A)
        control.arrived(A, 1, 10)

    def test_the_first_grant_covers_batches_begun_before(self) -> None:
        control = make_control()
        control.join(A, begun=7, arrived=5)
        control.grant(0, 0, 0.0)
        credit = control.credit_of(A)
        assert credit is not None
        assert credit.up_to == 9

    def test_batches_that_a_learner_already_has_are_no_longer_awaited(self) -> None:
        control = make_control()
        control.join(A, begun=10, arrived=6)
        control.grant(0, 0, 0.0)
        assert control.unarrived_of(A) == MAX_UNARRIVED
        control.caught_up(A, 10)
        control.caught_up(A, 9)
        control.caught_up(B, 3)
        assert control.unarrived_of(A) == 0
        assert control.grant(0, 0, 0.0) == [A]

    def test_a_publish_raises_the_version_that_unused_credit_requires(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        control.published(PolicyVersion(2, 1), 0, 1.0)
        credit = control.credit_of(A)
        assert credit is not None
        assert credit.min_version == PolicyVersion(2, 0)
        control.published(PolicyVersion(2, 5), 5000, 2.0)
        credit = control.credit_of(A)
        assert credit is not None
        assert credit.min_version == PolicyVersion(2, 5)

    def test_granted_credit_survives_a_new_manifest(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        control.adopt(make_manifest(batch=50))
        assert control.unarrived_of(A) == MAX_UNARRIVED

    def test_a_batch_is_no_longer_than_its_bytes_allow(self) -> None:
        control = CreditControl(make_manifest(batch=BATCH, module=make_image_module()), 10**9)
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        credit = control.credit_of(A)
        assert credit is not None
        assert credit.fragment_steps == 32 * MIB // (1080 * 1920 * 3 + 16)

    def test_credit_ends_where_memory_does(self) -> None:
        control = CreditControl(make_manifest(batch=BATCH, module=make_image_module()), 10**8)
        for number in range(10):
            control.join((f"actor-{number}", 1), 0, 0)
        control.grant(0, held_bytes=0, now_s=0.0)
        batch_bytes = 5 * (1080 * 1920 * 3 + 16)
        assert 10**8 <= control.reserved_bytes < 10**8 + batch_bytes
        assert control.reserved_steps < BATCH

    def test_batches_count_as_what_they_weighed(self) -> None:
        control = CreditControl(make_manifest(batch=BATCH, module=make_image_module()), 10**8)
        control.join(A, 0, 0)
        control.grant(0, 0, 0.0)
        control.arrived(A, 1, env_steps=5, size_bytes=5_000)
        control.grant(5, 5_000, 0.0)
        assert control.unarrived_of(A) == MAX_UNARRIVED

    def test_a_learner_that_waits_gets_a_batch_however_large(self) -> None:
        control = make_control()
        control.join(A, 0, 0)
        assert control.grant(0, held_bytes=10**12, now_s=0.0) == [A]
        assert control.unarrived_of(A) == 1


_STEPS = st.integers(1, 5000)
_FLOWS = st.one_of(
    st.builds(OnPolicyFlow, _STEPS, overlap=st.sampled_from([0.0, 0.5, 1.0])),
    st.builds(AsynchronousFlow, _STEPS, max_policy_lag=st.sampled_from([0, 4, 16, None])),
    st.builds(OffPolicyFlow, _STEPS),
)


class CreditMachine(RuleBasedStateMachine):
    """The invariants of the credit rule, under arrivals, joins, silence, expiry and publishes."""

    @initialize(flow=_FLOWS)
    def start(self, flow: Flow) -> None:
        self.control = CreditControl(flow_manifest(flow), LIMIT_BYTES)
        self.now_s = 0.0
        self.number = 1
        self.control.published(PolicyVersion(1, 1), 0, 0.0)
        self.queue: deque[tuple[int, int]] = deque()
        self.arrived: dict[tuple[str, int], int] = {}
        self.credits: dict[tuple[str, int], int] = {}
        self.incarnations = 0

    @rule()
    def join(self) -> None:
        self.incarnations += 1
        origin = (f"actor-{self.incarnations}", self.incarnations)
        self.arrived[origin] = 0
        self.control.join(origin, 0, 0)
        self.grant()

    @precondition(lambda self: bool(getattr(self, "arrived", None)))
    @rule(data=st.data(), steps=st.integers(1, 400), step_bytes=st.sampled_from([1, 50, 40_000]))
    def arrive(self, data: st.DataObject, steps: int, step_bytes: int) -> None:
        origin = data.draw(st.sampled_from(sorted(self.arrived)))
        credit = self.control.credit_of(origin)
        assert credit is not None
        if self.arrived[origin] < credit.up_to:
            self.arrived[origin] += 1
            self.queue.append((steps, steps * step_bytes))
            self.control.arrived(origin, self.arrived[origin], steps, steps * step_bytes)
        self.grant()

    @precondition(lambda self: bool(getattr(self, "arrived", None)))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        origin = data.draw(st.sampled_from(sorted(self.arrived)))
        del self.arrived[origin]
        self.credits.pop(origin, None)
        self.control.leave(origin)
        self.grant()

    @rule()
    def lease(self) -> None:
        if self.queue:
            self.control.window.delivered(self.queue.popleft()[0])
        self.grant()

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.control.expire(self.now_s)
        self.grant()

    @rule()
    def publish(self) -> None:
        self.number += 1
        self.control.published(PolicyVersion(1, self.number), self.queued[0], self.now_s)
        self.grant()

    @property
    def queued(self) -> tuple[int, int]:
        """Env steps and bytes."""
        return sum(steps for steps, _ in self.queue), sum(size for _, size in self.queue)

    def grant(self) -> None:
        control = self.control
        queued, held_bytes = self.queued
        before, before_bytes = queued + control.reserved_steps, held_bytes + control.reserved_bytes
        granted = control.grant(queued, held_bytes, self.now_s)
        slack = min(control.window.short_steps, control.reserved_steps / 2)
        target = control.window.target_steps(len(self.arrived))
        after, after_bytes = queued + control.reserved_steps, held_bytes + control.reserved_bytes
        fragment = control.window.fragment_steps(len(self.arrived))
        assert after <= max(before, target + slack + fragment)
        is_full = after_bytes >= LIMIT_BYTES
        if granted and before:
            assert before_bytes < LIMIT_BYTES
        if self.arrived and after < target and not (is_full and after):
            unarrived = [control.unarrived_of(origin) for origin in self.arrived]
            assert min(unarrived) >= MAX_UNARRIVED, "an actor with room for credit got none"

    @invariant()
    def credit_never_shrinks_and_needs_no_unpublished_version(self) -> None:
        for origin in getattr(self, "arrived", {}):
            credit = self.control.credit_of(origin)
            assert credit is not None
            assert credit.up_to >= self.credits.get(origin, 0)
            assert credit.min_version <= PolicyVersion(1, self.number)
            self.credits[origin] = credit.up_to

    @invariant()
    def reservations_are_exact(self) -> None:
        if hasattr(self, "control"):
            accounts = self.control._accounts.values()  # pyright: ignore[reportPrivateUsage]
            reserved = [part for account in accounts for part in account.reserved.values()]
            assert self.control.reserved_steps == sum(part.env_steps for part in reserved) >= 0
            assert self.control.reserved_bytes == sum(part.bytes for part in reserved) >= 0


TestCredit = CreditMachine.TestCase
TestCredit.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
