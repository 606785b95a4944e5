from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.fragile import Fragile

from headrace.actors.simulators.environments import SingleEnvironment, make_environment
from headrace.actors.simulators.restarting import EpisodesBroken, RestartingEnvironment
from headrace.protocol.errors import ConfigError

ACTION = np.array([1])


@pytest.fixture(autouse=True)
def _none_was_made() -> None:
    Fragile.made = 0


def no_pause(_: float) -> bool:
    """Retries at once."""
    return False


@pytest.mark.parametrize("how", ["raise", "exit"])
def test_an_environment_that_raises_is_closed_and_recreated(how: str) -> None:
    made: list[Fragile] = []

    def make() -> SingleEnvironment:
        made.append(Fragile(fails_at=2, how=how))
        return SingleEnvironment(made[-1])

    environment = RestartingEnvironment(make, no_pause)
    environment.reset(seed=1)
    environment.step(ACTION)
    with pytest.raises(EpisodesBroken) as broken:
        environment.step(ACTION)
    assert broken.value.observations["obs"].tolist() == [[0.0, 0.0]]
    assert [env.is_closed for env in made] == [True, False]
    assert environment.step(ACTION).observations["obs"].tolist() == [[1.0, 1.0]]
    environment.close()


def test_a_recreated_environment_is_reset_with_the_newest_options() -> None:
    made: list[Fragile] = []

    def make() -> SingleEnvironment:
        made.append(Fragile(fails_at=2))
        return SingleEnvironment(made[-1])

    environment = RestartingEnvironment(make, no_pause, lambda: {"level": 3})
    environment.reset(1, {"level": 2})
    environment.step(ACTION)
    with pytest.raises(EpisodesBroken):
        environment.step(ACTION)
    assert [env.options for env in made] == [{"level": 2}, {"level": 3}]
    environment.close()


def test_one_that_fails_in_each_episode_is_recreated_ever_more_slowly() -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    environment = RestartingEnvironment(lambda: SingleEnvironment(Fragile(fails_at=2)), pause)
    environment.reset(seed=1)
    for _ in range(12):
        environment.step(ACTION)
        with pytest.raises(EpisodesBroken):
            environment.step(ACTION)
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses[-1] == 30.0
    environment.close()


def test_what_an_environment_raises_when_it_is_closed_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Unclosable(Fragile):
        def close(self) -> None:
            raise OSError("the port is busy")

    environment = RestartingEnvironment(lambda: SingleEnvironment(Unclosable()), no_pause)
    environment.close()
    assert "the simulator cannot be closed: OSError('the port is busy')" in caplog.text


class Picky(Fragile):
    """Accepts only the first level."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        if (options or {}).get("level", 1) != 1:
            raise KeyError("level")
        return super().reset(seed=seed, options=options)


def test_a_failed_reset_is_retried_with_the_newest_options() -> None:
    wanted = iter([{"level": 2}, {"level": 2}, {"level": 1}])
    environment = RestartingEnvironment(
        lambda: SingleEnvironment(Picky()), no_pause, lambda: next(wanted)
    )
    environment.reset(1)
    assert environment.reset(None, {"level": 2})["obs"].tolist() == [[0.0, 0.0]]
    assert next(wanted, None) is None
    environment.close()


def test_an_error_of_the_first_reset_is_raised() -> None:
    environment = RestartingEnvironment(lambda: SingleEnvironment(Picky()), no_pause)
    with pytest.raises(ConfigError, match=r"first reset failed: KeyError\('level'\)"):
        environment.reset(1, {"level": 2})


def test_recreation_is_given_up_when_the_actor_is_stopping() -> None:
    environment = RestartingEnvironment(
        lambda: SingleEnvironment(Picky()), lambda _: True, lambda: {"level": 2}
    )
    environment.reset(1)
    assert environment.reset(None, {"level": 2}) is None


def test_recreation_is_retried_with_growing_pauses_until_it_works() -> None:
    pauses: list[float] = []
    attempts = iter([None, "no licence", "no licence", "no licence", None])

    def make() -> SingleEnvironment:
        if (reason := next(attempts)) is not None:
            raise OSError(reason)
        return SingleEnvironment(Fragile(fails_at=1))

    def pause(pause_s: float) -> bool:
        pauses.append(pause_s)
        return False

    environment = RestartingEnvironment(make, pause)
    environment.reset(seed=1)
    with pytest.raises(EpisodesBroken):
        environment.step(ACTION)
    assert pauses == [0.1, 0.2, 0.4]
    environment.close()


def test_an_error_of_the_first_make_is_raised() -> None:
    def make() -> Any:
        return make_environment("NoSuchThing-v0", 1, {})

    with pytest.raises(ConfigError, match="NoSuchThing"):
        RestartingEnvironment(make, no_pause)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["hang", "die", "raise"])
def test_environments_in_processes_may_hang_or_die(how: str) -> None:
    config = {"fails_at": 2, "how": how}
    environment = RestartingEnvironment(
        lambda: make_environment("Fragile-v0", 2, config, timeout_s=5.0), no_pause
    )
    actions = np.array([0, 1])
    environment.reset(seed=1)
    environment.step(actions)
    with pytest.raises(EpisodesBroken) as broken:
        environment.step(actions)
    assert broken.value.observations["obs"].tolist() == [[0.0, 0.0]] * 2
    assert environment.step(actions).observations["obs"].tolist() == [[1.0, 1.0]] * 2
    environment.close()


@pytest.mark.slow
def test_environments_in_processes_end_episodes_as_others_do() -> None:
    environment = make_environment("Fragile-v0", 1, {"fails_at": 0, "length": 2}, timeout_s=20.0)
    environment.reset(seed=1)
    environment.step(ACTION)
    last = environment.step(ACTION)
    assert last.terminated.tolist() == [True]
    assert last.final_observations[0]["obs"].tolist() == [2.0, 2.0]
    assert last.observations["obs"].tolist() == [[0.0, 0.0]]
    environment.close()
