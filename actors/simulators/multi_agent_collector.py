"""The loop that steps multi-agent simulators with the newest policies and fills batches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.actors.agents.episode_agent import EpisodeAgent
from headrace.actors.agents.policy_runner import ModuleOf
from headrace.actors.connection.assignments import Reset
from headrace.actors.connection.client import Client
from headrace.actors.recording.non_finite import OnNonFinite
from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Episode
from headrace.actors.simulators.multi_agent_simulators import (
    AgentId,
    AgentsStep,
    MultiAgentSimulator,
)
from headrace.actors.simulators.restarting import EpisodesBroken
from headrace.protocol.errors import ConfigError

_LOOK_FOR_STOP_S = 0.2


@dataclass
class _Run:
    """A simulator, its open episode, and the observations of the agents that act next."""

    simulator: MultiAgentSimulator
    episode: Episode
    observations: Mapping[AgentId, Any]


class MultiAgentCollector:
    """Steps simulators within credit; without credit it waits, and discards nothing."""

    def __init__(
        self,
        client: Client,
        simulators: Sequence[MultiAgentSimulator],
        *,
        module_of: ModuleOf | None = None,
        seed: int | None = None,
        on_non_finite: OnNonFinite = "drop_episode",
    ) -> None:
        """Does not wait for the broker.

        Args:
            module_of: which module acts for an agent, where the learner's manifest does not say.
            on_non_finite: see `EpisodeAgent`.
        """
        self._agent = EpisodeAgent(
            client, module_of=module_of, seed=seed, on_non_finite=on_non_finite
        )
        self._simulators = simulators
        self._reset = Reset(seed=seed)

    def run(self, stop: threading.Event) -> None:
        """Collects until `stop` is set.

        A simulator that fails ends the collection, unless it is a `RestartingSimulator`.

        Raises:
            ConfigError: a simulator does not match the learner's policies.
            RefusedError: the broker will not serve this actor.
        """
        runs = self._begin()
        while not stop.is_set():
            reset = self._agent.take_reset()
            if reset is not None:
                self._reset = reset
                runs = self._begin()
            seen = {run.episode: run.observations for run in runs}
            actions = self._agent.act(seen, _LOOK_FOR_STOP_S)
            if actions is None:
                continue
            for run in runs:
                if run.episode.is_broken:
                    self._restart(run)
                else:
                    self._step(run, actions.get(run.episode, {}))

    def _begin(self) -> list[_Run]:
        seed, options = self._reset.seed, self._reset.options
        return [
            _Run(
                simulator,
                self._start(),
                simulator.reset(None if seed is None else seed + index, options),
            )
            for index, simulator in enumerate(self._simulators)
        ]

    def _start(self) -> Episode:
        return self._agent.start(task=self._reset.task)

    def _step(self, run: _Run, actions: Mapping[AgentId, Any]) -> None:
        try:
            step = run.simulator.step(actions)
        except EpisodesBroken as broken:
            self._agent.drop(run.episode)
            run.episode, run.observations = self._start(), broken.observations
        else:
            self._take(run, step)

    def _take(self, run: _Run, step: AgentsStep) -> None:
        """Records a step; ignores rewards and infos before an agent's first action."""
        agent, episode = self._agent, run.episode
        present = set(agent.episodes.agents_of(episode))
        agent.episodes.reward(episode, {a: r for a, r in step.rewards.items() if a in present})
        agent.episodes.inform(episode, {a: info for a, info in step.infos.items() if a in present})
        for name in present & step.endings.keys():
            _require_last(name, step.endings[name], step.observations)
            agent.end_agent(episode, name, step.observations.get(name), step.endings[name])
        if step.ending is None:
            run.observations = {
                name: seen for name, seen in step.observations.items() if name not in step.endings
            }
            return
        for name in agent.episodes.agents_of(episode):
            _require_last(name, step.ending, step.observations)
        agent.end(episode, step.observations, step.ending)
        self._begin_episode(run)

    def _restart(self, run: _Run) -> None:
        """Ends an episode that is no longer recorded."""
        self._agent.drop(run.episode)
        self._begin_episode(run)

    def _begin_episode(self, run: _Run) -> None:
        run.episode = self._start()
        run.observations = run.simulator.reset(None, self._reset.options)


def _require_last(name: AgentId, ending: Ending, observations: Mapping[AgentId, Any]) -> None:
    if ending.truncated and name not in observations:
        raise ConfigError(
            f"agent {name!r} is truncated without its last observation, from which the learner "
            "bootstraps: return it with that step"
        )
