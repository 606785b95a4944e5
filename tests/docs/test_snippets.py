"""The Python and TOML blocks of the documentation, pasted as they stand."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from support.algorithms import algorithm_of, collecting, make_config
from support.documents import Snippet, snippets
from support.policies import Exported
from support.running import BrokerThread, Context, Learner
from support.serving import ServerThread, publish

from headrace.actors import Agent, Client
from headrace.deploy.run_file import read_run_file
from headrace.learner.training.algorithm_config import build_config
from headrace.learner.training.run_sections import LearnerRun
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.messages import Assignment

pytestmark = [pytest.mark.rllib, pytest.mark.slow, pytest.mark.usefixtures("ray_session")]


class EndedError(Exception):
    """Ends a block's endless loop."""


class Simulator:
    """Stands for the reader's: eight numbers, three actions, episodes of five steps.

    It ends the block's loop after `episodes`.
    """

    def __init__(self, episodes: int = 8) -> None:
        self._left = episodes
        self._steps = 0
        self.options: list[Any] = []
        self.is_over = False

    def reset(self, options: Any = None) -> np.ndarray[Any, Any]:
        if self._left == 0:
            raise EndedError
        self._left -= 1
        self._steps = 0
        self.is_over = False
        self.options.append(options)
        return np.zeros(8, np.float32)


class SteppedSimulator(Simulator):
    """Its `step` returns the observation, the reward, and whether the episode is over."""

    def step(self, action: Any) -> tuple[Any, float, bool]:
        assert int(action) in range(3)
        self._steps += 1
        self.is_over = self._steps == 5
        return np.full(8, self._steps, np.float32), 1.0, self.is_over


class SelfEndingSimulator(SteppedSimulator):
    """Its `step` returns the observation and the reward."""

    def step(self, action: Any) -> tuple[Any, float]:  # type: ignore[override]
        return super().step(action)[:2]


class PlainSimulator(SteppedSimulator):
    """Observations and actions as lists and numbers."""

    def reset(self, options: Any = None) -> Any:
        return super().reset(options).tolist()

    def step(self, action: Any) -> tuple[Any, float, bool]:
        observation, reward, is_over = super().step(action)
        return observation.tolist(), reward, is_over


class Bench:
    """What the blocks run against."""

    def __init__(self, broker: BrokerThread, context: Context) -> None:
        self.broker = broker
        self.context = context

    def paste(self, snippet: Snippet, **names: Any) -> dict[str, Any]:
        """Runs a block, with this broker's address and with `names` as its surroundings."""
        code = snippet.code
        for host in ("127.0.0.1", "learner-host"):
            code = code.replace(f"tcp://{host}:5555", self.broker.address)
        module = types.ModuleType("pasted")
        vars(module).update(names)
        sys.modules["pasted"] = module
        exec(compile(code, f"<{snippet.page}>", "exec"), vars(module))  # noqa: S102
        return vars(module)

    def learner(self) -> Learner:
        """Publishes a policy for `Simulator`."""
        learner = Learner(self.context, self.broker.address)
        publish(learner, {DEFAULT_MODULE: Exported(Box(-9.0, 9.0, (8,)), Discrete(3))})
        return learner


@pytest.fixture
def bench(broker: BrokerThread, context: Context) -> Iterator[Bench]:
    yield Bench(broker, context)
    sys.modules.pop("pasted", None)


def _agent(snippet: Snippet, bench: Bench) -> None:
    with bench.learner() as learner:
        with pytest.raises(EndedError):
            bench.paste(snippet, simulator=SteppedSimulator())
        assert sum(batch.lease.env_steps for batch in learner.take(30)) >= 30


def _policy_client(snippet: Snippet, bench: Bench) -> None:
    with bench.learner() as learner:
        with pytest.raises(EndedError):
            bench.paste(snippet, simulator=SelfEndingSimulator())
        assert sum(batch.lease.env_steps for batch in learner.take(30)) >= 30


def _assigned_agent(snippet: Snippet, bench: Bench) -> None:
    simulator = SteppedSimulator()
    with bench.learner() as learner, Client(bench.broker.address) as client:
        learner.link.assign(Assignment(1, "level-2", {"level": 2}))
        with pytest.raises(EndedError):
            bench.paste(snippet, agent=Agent(client), simulator=simulator)
    assert simulator.options[0] == {}
    assert simulator.options[-1] == {"level": 2}


def _thin_simulator(snippet: Snippet, bench: Bench) -> None:
    with bench.learner() as learner, ServerThread(bench.broker.address) as server:
        code = snippet.code.replace("tcp://127.0.0.1:5570", server.endpoint)
        with pytest.raises(EndedError):
            bench.paste(_with_code(snippet, code), simulator=PlainSimulator())
        sys.modules["pasted"].socket.close(linger=0)
        assert sum(batch.lease.env_steps for batch in learner.take(30)) >= 30


def _rllib_script(snippet: Snippet, bench: Bench) -> None:
    printed: list[Any] = []

    def print_twice(*values: Any) -> None:
        printed.append(values)
        if len(printed) == 2:
            raise EndedError

    code = snippet.code.replace(
        ".env_runners(", ".training(train_batch_size_per_learner=400).env_runners("
    )
    with collecting(bench.broker, bench.context), pytest.raises(EndedError):
        bench.paste(_with_code(snippet, code), print=print_twice)
    sys.modules["pasted"].algorithm.stop()
    assert all(returned > 0 and lag >= 0 for returned, lag in printed)


def _curriculum(snippet: Snippet, bench: Bench) -> None:
    callbacks: type[RLlibCallback] = bench.paste(snippet)["Curriculum"]
    config = make_config(bench.broker).callbacks(callbacks)
    with algorithm_of(config) as algorithm, collecting(bench.broker, bench.context):
        result = algorithm.train()
        assert result["env_runners"]["headrace"]["tasks"]["level-1"]["num_episodes"] > 0
        tasks = {"level-1": {"episode_return_mean": 401.0}}
        mastered = {"env_runners": {"headrace": {"tasks": tasks}}}
        [callback] = cast("list[RLlibCallback]", algorithm.callbacks)
        callback.on_train_result(algorithm=algorithm, result=mastered)
        result = algorithm.train()
        result = algorithm.train()
        assert result["env_runners"]["headrace"]["tasks"]["level-2"]["num_episodes"] > 0


def _evaluation(snippet: Snippet, bench: Bench) -> None:
    config = make_config(bench.broker)
    bench.paste(snippet, config=config)
    with algorithm_of(config) as algorithm, collecting(bench.broker, bench.context):
        result = algorithm.train()
    assert result["evaluation"]["env_runners"]["episode_return_mean"] > 0


def _several_agents(snippet: Snippet, bench: Bench) -> None:
    config = PPOConfig()
    bench.paste(snippet, config=config)
    assert set(cast("set[str]", config.policies)) == {"a", "b"}
    mapping: Any = config.policy_mapping_fn
    assert mapping("blue", None) == "b"
    assert isinstance(config.action_space, Dict)


def _run_file(snippet: Snippet, bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(snippet.code)
    run = read_run_file(path)
    callbacks = types.ModuleType("my_module")
    vars(callbacks)["Callbacks"] = type("Callbacks", (RLlibCallback,), {})
    sys.modules["my_module"] = callbacks
    try:
        build_config(
            LearnerRun(
                addresses=(bench.broker.address,),
                folder=str(tmp_path / "runs"),
                run=run.run,
                environment=run.environment,
                learner=run.learner,
            )
        )
    finally:
        del sys.modules["my_module"]


def _with_code(snippet: Snippet, code: str) -> Snippet:
    return Snippet(snippet.page, snippet.language, snippet.number, code, None)


DRIVERS: dict[tuple[str, str, int], Callable[[Snippet, Bench], None]] = {
    ("README.md", "python", 1): _agent,
    ("README.md", "python", 2): _rllib_script,
    ("docs/policy-client.md", "python", 1): _policy_client,
    ("docs/simulators.md", "python", 1): _several_agents,
    ("docs/training.md", "python", 1): _curriculum,
    ("docs/training.md", "python", 2): _assigned_agent,
    ("docs/training.md", "python", 3): _evaluation,
    ("protocol/SPEC.md", "python", 1): _thin_simulator,
}
RUN = [snippet for snippet in snippets() if snippet.not_run is None]


def _name(snippet: Snippet) -> str:
    return f"{snippet.page}-{snippet.number}"


@pytest.mark.parametrize("snippet", [s for s in RUN if s.language == "python"], ids=_name)
def test_a_block_of_python_does_what_the_page_says(snippet: Snippet, bench: Bench) -> None:
    assert snippet.key in DRIVERS, "write a driver for this block, or <!-- not run: reason -->"
    DRIVERS[snippet.key](snippet, bench)


@pytest.mark.parametrize("snippet", [s for s in RUN if s.language == "toml"], ids=_name)
def test_a_run_file_makes_an_algorithms_config(
    snippet: Snippet, bench: Bench, tmp_path: Path
) -> None:
    _run_file(snippet, bench, tmp_path)


def test_every_driver_has_a_block() -> None:
    assert set(DRIVERS) <= {snippet.key for snippet in RUN}
