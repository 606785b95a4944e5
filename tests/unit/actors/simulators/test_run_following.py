"""An actor follows the broker's runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from support.memory_client import MemoryClient

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.simulators.run_following import NamedEnvironment, RunFollower
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import PolicyVersion

NOTHING: Any = msgspec.UNSET


@dataclass
class Source:
    """A client whose broker serves one run after the other; `then` runs at each look."""

    environment: str | None = "CartPole-v1"
    config: dict[str, Any] = field(default_factory=dict)
    nested: dict[str, Any] = field(default_factory=dict)
    epoch: int | None = 1
    learner_is_connected: bool | None = True
    several: bool = False
    then: Callable[[], None] = lambda: None

    @property
    def newest_version(self) -> PolicyVersion | None:
        return None if self.epoch is None else PolicyVersion(self.epoch, 1)

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        self.then()
        update = MemoryClient().policy_update()
        version = self.newest_version
        if update is None or version is None:
            return None
        manifest = msgspec.structs.replace(
            update.policy.manifest,
            environment=self.environment,
            environment_config=self.config,
            environment_nested=self.nested or NOTHING,
            multi_agent=self.several,
        )
        policy = msgspec.structs.replace(update.policy, manifest=manifest)
        return replace(update, version=version, policy=policy)


def test_a_run_names_its_environment_with_nested_arguments() -> None:
    source = Source(config={"a": 1}, nested={"lanes": [3, 4, 5]})
    named = RunFollower(source, threading.Event()).wait()
    assert named == NamedEnvironment("CartPole-v1", {"a": 1, "lanes": [3, 4, 5]})


@pytest.mark.parametrize(
    ("source", "named"),
    [
        (Source(environment=None), "choose one with --env"),
        (Source(several=True), "--multi-agent module:function"),
    ],
)
def test_a_run_that_names_no_environment_is_an_error(source: Source, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        RunFollower(source, threading.Event()).wait()


def test_the_next_run_is_waited_for_where_the_learner_has_gone() -> None:
    source = Source(learner_is_connected=False)
    looks: list[int] = []

    def come_back() -> None:
        looks.append(1)
        if len(looks) == 3:
            source.environment, source.epoch = "Acrobot-v1", 2
            source.learner_is_connected = True

    source.then = come_back
    named = RunFollower(source, threading.Event()).wait()
    assert named == NamedEnvironment("Acrobot-v1")


def test_only_another_environment_is_a_change() -> None:
    source = Source()
    follower = RunFollower(source, threading.Event())
    assert not follower.has_changed(), "it follows no run yet"
    follower.wait()
    assert not follower.has_changed()
    source.epoch = 2
    assert not follower.has_changed(), "a learner that was restarted"
    source.epoch, source.config = 3, {"g": 9.8}
    assert follower.has_changed()
    follower.wait()
    assert not follower.has_changed()


def test_an_error_about_a_run_whose_learner_has_gone_is_no_end() -> None:
    source = Source(learner_is_connected=False)
    stop = threading.Event()
    calls: list[int] = []

    def collect() -> None:
        calls.append(1)
        if len(calls) == 1:
            threading.Timer(0.05, lambda: setattr(source, "epoch", 2)).start()
            raise ConfigError("the simulator's 'obs' has another shape")

    RunFollower(source, stop).run(collect)
    assert len(calls) == 2


@pytest.mark.parametrize("is_connected", [True, None])
def test_an_error_about_the_present_run_is_raised(is_connected: bool | None) -> None:
    def collect() -> None:
        raise ConfigError("another shape")

    source = Source(learner_is_connected=is_connected)
    with pytest.raises(ConfigError, match="another shape"):
        RunFollower(source, threading.Event()).run(collect)


def test_waiting_ends_when_the_actor_stops() -> None:
    stop = threading.Event()
    source = Source(learner_is_connected=False)
    source.then = stop.set
    assert RunFollower(source, stop).wait() is None
