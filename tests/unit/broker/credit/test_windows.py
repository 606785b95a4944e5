from __future__ import annotations

import pytest

from headrace.broker.credit.windows import (
    AsynchronousWindow,
    OffPolicyWindow,
    OnPolicyWindow,
    make_window,
)
from headrace.protocol.flow_control import AsynchronousFlow, OffPolicyFlow, OnPolicyFlow

BATCH = 1000


class TestOnPolicyWindow:
    def test_the_missing_steps_and_the_overlap_may_be_in_flight(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH, overlap=0.5))
        assert window.target_steps(2) == 1500
        window.delivered(400)
        assert (window.missing_steps, window.target_steps(2)) == (600, 1100)
        window.delivered(800)
        assert (window.missing_steps, window.target_steps(2)) == (0, 500)
        window.published(1.0)
        assert window.target_steps(2) == 1500

    @pytest.mark.parametrize(("actors", "steps"), [(1, 62), (8, 62), (10, 50), (1000, 16)])
    def test_fragments_shrink_as_the_fleet_grows(self, actors: int, steps: int) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        assert window.fragment_steps(actors) == steps

    @pytest.mark.parametrize(
        ("queued", "steps"), [(0, 50), (700, 40), (890, 40), (900, 10), (999, 1), (1000, 50)]
    )
    def test_all_actors_share_the_last_missing_steps(self, queued: int, steps: int) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        assert window.next_fragment_steps(10, queued) == steps

    def test_a_fleet_is_slow_once_several_updates_began_with_too_little(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        shorts = []
        for queued in (0, 100, 400, 300, 1000):
            window.published(1.0, queued)
            shorts.append(window.short_steps)
        assert shorts == [0, 0, 600, 600, 0]

    def test_whether_a_fleet_is_slow_is_not_known_of_one_broker_of_several(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        window.divide(0.5, None)
        for _ in range(5):
            window.published(1.0, 0)
        assert window.short_steps == 0

    def test_a_strict_learner_has_nothing_ready_and_its_fleet_is_not_slow(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(BATCH, overlap=0.0, max_policy_lag=0))
        for _ in range(5):
            window.published(1.0, 0)
        assert window.short_steps == 0

    def test_an_update_below_the_smallest_fragment_is_one_fragment(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=8))
        window.delivered(8)
        assert window.fragment_steps(3) == 8

    def test_the_time_limit_follows_the_update_interval(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        window.published(0.0)
        window.published(2.0)
        assert window.fragment_s == pytest.approx(0.7)

    def test_the_time_limit_follows_the_typical_update_and_not_a_long_pause(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        for at_s in (0.0, 1.0, 3.0, 63.0):
            window.published(at_s)
        assert window.fragment_s == pytest.approx(0.7)

    def test_the_needed_version_never_exceeds_the_published_one(self) -> None:
        strict = OnPolicyWindow(
            OnPolicyFlow(train_batch_env_steps=BATCH, max_policy_lag=0, overlap=0.0)
        )
        assert strict.needed_number(newest=3, outstanding_steps=0) == 3
        assert strict.needed_number(newest=3, outstanding_steps=5000) == 3
        loose = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH, max_policy_lag=None))
        assert loose.needed_number(newest=3, outstanding_steps=0) == 0
        default = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        assert default.needed_number(newest=3, outstanding_steps=0) == 2
        assert default.needed_number(newest=3, outstanding_steps=5000) == 3


class TestAsynchronousWindow:
    def test_a_fixed_number_of_versions_may_be_in_flight(self) -> None:
        window = AsynchronousWindow(AsynchronousFlow(version_env_steps=500))
        window.delivered(400)
        assert window.target_steps(3) == 2000

    @pytest.mark.parametrize(("actors", "steps"), [(1, 250), (4, 125), (1000, 16)])
    def test_fragments_shrink_as_the_fleet_grows(self, actors: int, steps: int) -> None:
        window = AsynchronousWindow(AsynchronousFlow(version_env_steps=500))
        assert window.fragment_steps(actors) == steps

    def test_the_time_limit_is_a_quarter_of_the_allowed_lag(self) -> None:
        window = AsynchronousWindow(AsynchronousFlow(version_env_steps=500, max_policy_lag=4))
        window.published(0.0)
        window.published(0.5)
        assert window.fragment_s == pytest.approx(0.5)
        unlimited = AsynchronousWindow(AsynchronousFlow(version_env_steps=500, max_policy_lag=None))
        assert unlimited.fragment_s == pytest.approx(1.0)

    def test_the_needed_version_grows_with_the_steps_in_flight(self) -> None:
        window = AsynchronousWindow(AsynchronousFlow(version_env_steps=500, max_policy_lag=16))
        assert window.needed_number(newest=20, outstanding_steps=0) == 5
        assert window.needed_number(newest=20, outstanding_steps=2000) == 9
        assert window.needed_number(newest=20, outstanding_steps=1_000_000) == 20
        assert window.needed_number(newest=3, outstanding_steps=0) == 0


class TestOffPolicyWindow:
    def test_every_actor_stays_busy_however_small_the_learners_samples(self) -> None:
        window = OffPolicyWindow(OffPolicyFlow(sample_env_steps=1))
        assert window.fragment_steps(100) == 16
        assert window.target_steps(100) == 2 * 100 * 16

    def test_a_learner_with_large_samples_gets_a_large_window(self) -> None:
        window = OffPolicyWindow(OffPolicyFlow(sample_env_steps=10_000))
        assert window.target_steps(1) == 40_000
        assert window.fragment_steps(1) == 256

    def test_no_version_is_needed_and_the_time_limit_is_fixed(self) -> None:
        window = OffPolicyWindow(OffPolicyFlow(sample_env_steps=1, fragment_s=3.0))
        assert window.needed_number(newest=900, outstanding_steps=10_000) == 0
        assert window.fragment_s == 3.0


@pytest.mark.parametrize(
    ("flow", "kind"),
    [
        (OnPolicyFlow(train_batch_env_steps=1), OnPolicyWindow),
        (AsynchronousFlow(version_env_steps=1), AsynchronousWindow),
        (OffPolicyFlow(sample_env_steps=1), OffPolicyWindow),
    ],
)
def test_each_flow_has_its_window(
    flow: OnPolicyFlow | AsynchronousFlow | OffPolicyFlow, kind: type[object]
) -> None:
    assert isinstance(make_window(flow), kind)


class TestDivision:
    """The window of one broker of several."""

    def test_what_is_asked_and_a_share_of_the_overlap_may_be_in_flight(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH, overlap=0.5))
        window.divide(0.25, 400)
        assert (window.missing_steps, window.target_steps(2)) == (400, 525)
        window.divide(0.25, 0)
        assert window.target_steps(2) == 125

    def test_more_than_a_train_batch_is_never_missing(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        window.divide(0.5, 2**50)
        assert window.missing_steps == BATCH

    def test_a_new_update_begins_with_the_share_until_the_learner_asks(self) -> None:
        window = OnPolicyWindow(OnPolicyFlow(train_batch_env_steps=BATCH))
        window.published(0.0)
        window.divide(0.25, None)
        assert window.missing_steps == 250

    def test_the_shares_of_all_brokers_are_one_window(self) -> None:
        flow = OnPolicyFlow(train_batch_env_steps=BATCH)
        shares = (0.5, 0.3, 0.2)
        windows = [OnPolicyWindow(flow) for _ in shares]
        for window, share in zip(windows, shares, strict=True):
            window.divide(share, round(share * BATCH))
        alone = OnPolicyWindow(flow)
        assert sum(window.target_steps(2) for window in windows) == alone.target_steps(6)

    def test_an_asynchronous_broker_counts_versions_by_its_share_of_them(self) -> None:
        window = AsynchronousWindow(AsynchronousFlow(100, versions_under_way=4, max_policy_lag=2))
        window.divide(0.25, 0)
        assert window.target_steps(2) == 100
        assert window.needed_number(newest=9, outstanding_steps=25) == 9
        assert window.needed_number(newest=9, outstanding_steps=24) == 8

    def test_a_broker_without_a_share_grants_nothing(self) -> None:
        window = AsynchronousWindow(AsynchronousFlow(100))
        window.divide(0.0, 0)
        assert window.target_steps(2) == 0
        assert window.needed_number(newest=9, outstanding_steps=0) == 0

    def test_off_policy_actors_keep_two_fragments_each_with_any_share(self) -> None:
        window = OffPolicyWindow(OffPolicyFlow(sample_env_steps=1000))
        window.divide(0.0, 0)
        assert window.target_steps(3) == 6 * 16
        window.divide(0.5, 0)
        assert window.target_steps(3) == 2000
