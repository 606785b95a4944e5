"""Acts and records for episodes that step independently, with one agent or many."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from headrace.actors.agents.episode_batches import EpisodeBatches
from headrace.actors.agents.episode_checks import EpisodeChecks
from headrace.actors.agents.policy_runner import GivenAction, ModuleOf, PolicyRunner
from headrace.actors.connection.assignments import AssignmentWatch, Reset
from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.recording.infos import blank_infos
from headrace.actors.recording.non_finite import NonFiniteValues, OnNonFinite
from headrace.actors.recording.open_episodes import AgentId, OpenEpisodes
from headrace.actors.recording.rows import rows_of_one
from headrace.actors.recording.step_result import Columns, Ending
from headrace.actors.recording.tracks import Episode
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import Manifest
from headrace.protocol.messages import Assignment

Clock = Callable[[], float]
Observations = Mapping[Episode, Mapping[AgentId, Any]]
Rows = Mapping[tuple[Episode, AgentId], Columns]
Given = Mapping[tuple[Episode, AgentId], GivenAction]
_NOTHING: Given = {}


class EpisodeAgent:
    """Acts for any number of episodes at once; they need not step together.

    `start` an episode, `act` on its observations, report its rewards to `episodes`, and `end` it.
    When the learner asks for an evaluation, the next episode becomes one: the policy acts greedily
    in it. Not thread-safe.

    Attributes:
        policies: what acts for the agents, and takes observations and actions from elsewhere.
        episodes: the open episodes; report rewards and infos to them.
        batches: the batches being recorded; `deliver` one to end it early.
    """

    def __init__(
        self,
        client: BrokerClient,
        *,
        waits: bool = True,
        module_of: ModuleOf | None = None,
        seed: int | None = None,
        on_non_finite: OnNonFinite = "drop_episode",
        clock: Clock = time.monotonic,
    ) -> None:
        """Does not wait for the broker.

        Args:
            waits: whether `act` waits for credit; else it acts without recording until then.
            module_of: which module acts for an agent, where the learner's manifest does not say.
            on_non_finite: what to do when an observation or a reward is not finite.

        Raises:
            ConfigError: `on_non_finite` is unknown.
        """
        self._client = client
        self._clock = clock
        self.policies = PolicyRunner(np.random.default_rng(seed), module_of)
        self.batches = EpisodeBatches(client, clock, waits=waits)
        self._assignments = AssignmentWatch(client)
        self.episodes = OpenEpisodes()
        self._checks = EpisodeChecks(self.batches, self.episodes, NonFiniteValues(on_non_finite))

    def manifest(self, timeout_s: float | None = None) -> Manifest | None:
        """Returns the manifest of the policy in use.

        Waits for the first one; returns None on timeout.

        Raises:
            ConfigError: the learner exports no graphs.
            RefusedError: the broker will not serve this actor.
        """
        if self.batches.manifest is None:
            self.batches.wait_for_policy(self._use, timeout_s)
        return self.batches.manifest

    @property
    def version(self) -> PolicyVersion | None:
        """The policy version in use, None before the first one."""
        return self.policies.version

    def start(self, *, is_recorded: bool = True, task: str | None = None) -> Episode:
        """Begins an episode; its agents begin with their first observations.

        Args:
            task: that of the `Reset` with which its simulator was reset.
        """
        episode = Episode(self._clock(), is_recorded=is_recorded, task=task)
        self.episodes.add(episode)
        return episode

    def act(
        self, observations: Observations, timeout_s: float | None = None
    ) -> dict[Episode, dict[AgentId, Any]] | None:
        """Returns actions as the simulator expects them; agents without an observation continue.

        Waits for the broker, the learner and credit, for at most `timeout_s`. Returns None on
        timeout or when the client was closed: then call it again with the same observations. For
        callers of `take_reset`, None may also mean that a reset is due.

        Raises:
            ConfigError: the observations do not match the learner's policy.
            RefusedError: the broker will not serve this actor.
        """
        return self.act_upon(
            {
                episode: {agent: rows_of_one(seen) for agent, seen in agents.items()}
                for episode, agents in observations.items()
            },
            timeout_s,
        )

    def act_upon(
        self,
        rows_by_episode: Mapping[Episode, Mapping[AgentId, Columns]],
        timeout_s: float | None,
        given: Given = _NOTHING,
    ) -> dict[Episode, dict[AgentId, Any]] | None:
        """Does what `act` does, for observations as rows by path.

        Args:
            given: actions that were chosen elsewhere; see `PolicyRunner.given_action`.
        """
        rows = self._see(
            {
                (episode, agent): own
                for episode, agents in rows_by_episode.items()
                for agent, own in agents.items()
            }
        )
        self._complete_steps(rows)
        for episode in self.batches.evaluations.complete():
            self.batches.cut_evaluation(episode, self.episodes.tracks_of(episode).values())
            self.episodes.begin_again(episode, self._clock())  # its simulator continues
        self.batches.deliver_if_due()
        acted_for = {episode for episode, _ in given}
        former = self.batches.manifest
        if not self.batches.prepare(rows_by_episode.keys(), timeout_s, self._use, acted_for):
            return None
        if self._is_reset_due:
            return None
        if self.batches.manifest is not former:
            rows = self._see(rows)
        actions = self._decide(rows, given)
        for episode in rows_by_episode:
            episode.env_t += 1
        return actions

    def end_agent(self, episode: Episode, agent: AgentId, observation: Any, ending: Ending) -> None:
        """Lets an agent leave an episode that continues.

        Args:
            observation: the last one; None repeats the previous one, which is good enough for a
                terminated agent.

        Raises:
            LocalProtocolError: the agent is not in the episode, or it is truncated without an
                observation.
        """
        track = self.episodes.tracks_of(episode).get(agent)
        if track is None:
            raise LocalProtocolError(f"agent {agent!r} cannot leave: it is not in this episode")
        if track.in_progress is not None and observation is None and not ending.terminated:
            raise LocalProtocolError(f"agent {agent!r} is truncated without its last observation")
        last = track.last_observations
        self._checks.check_reward(track)
        if observation is not None:
            rows = self.policies.rows_of(agent, observation)
            last = self.policies.see(track, self._checks.finite(episode, agent, rows))
        del self.episodes.tracks_of(episode)[agent]
        self.batches.leave(track, last, ending)

    def end(self, episode: Episode, observations: Mapping[AgentId, Any], ending: Ending) -> None:
        """Ends an episode for all of its agents, with the last observation of each.

        Raises:
            LocalProtocolError: it has already ended, or a truncated agent has no observation.
        """
        for agent in list(self.episodes.tracks_of(episode)):
            self.end_agent(episode, agent, observations.get(agent), ending)
        self.episodes.remove(episode)
        self.batches.end(episode, truncated=not ending.terminated)

    def cut_off(self, episode: Episode) -> None:
        """Truncates an abandoned episode at its last observations."""
        self.batches.cut_off(episode, self.episodes.remove(episode))

    def drop(self, episode: Episode) -> None:
        """Forgets an episode whose simulator failed, and counts it as broken.

        Batches that were delivered stay delivered.
        """
        self.batches.stop_recording(episode, self.episodes.remove(episode))

    def take_reset(self) -> Reset | None:
        """Returns, once per new assignment, how to reset all simulators; else None.

        A single open episode ends first; several are left unended wherever they are. After either,
        `start` new episodes.
        """
        self._assignments.watch()
        if not self._is_reset_due:
            return None
        self.batches.forget(self.episodes.clear())
        return self.adopt_assignment()

    @property
    def assignment(self) -> Assignment | None:
        """The learner's assignment for episodes that begin now, None without one."""
        return self._client.assignment

    def adopt_assignment(self) -> Reset:
        """Returns how to reset simulators whose episodes begin now."""
        if self._assignments.has_changed:
            self.batches.deliver()
        return self._assignments.adopt()

    @property
    def _is_reset_due(self) -> bool:
        if not self._assignments.is_behind:
            return False
        return len(self.episodes) > 1 or all(not episode.env_t for episode in self.episodes)

    def _use(self, update: PolicyUpdate) -> None:
        if not self.policies.use(update):
            return
        self.batches.adopt(update.policy.manifest)
        self.episodes.infos_wanted = update.policy.manifest.infos
        for track in self.episodes.all_tracks():
            track.state = {}

    def _see(self, rows: Rows) -> Rows:
        """Returns observations as the policies take them; there may be no policy yet."""
        if self.version is None:
            return rows
        return {
            (episode, agent): self._checks.finite(episode, agent, self.policies.fit(agent, own))
            for (episode, agent), own in rows.items()
        }

    def _complete_steps(self, rows: Rows) -> None:
        missed: set[Episode] = set()
        for (episode, agent), own in rows.items():
            track = self.episodes.tracks_of(episode).get(agent)
            if track is None or track.in_progress is None:
                continue
            self._checks.check_reward(track)
            if self.batches.observe(track, self.policies.see(track, own)):
                missed.add(episode)
        if missed:
            self._client.count_unrecorded(len(missed))

    def _decide(self, rows: Rows, given: Given) -> dict[Episode, dict[AgentId, Any]]:
        """Returns every agent's action, the policy's or the given one, and records it."""
        module_of = self.policies.module_of
        seen = [
            (self.episodes.track(episode, agent, module_of), own)
            for (episode, agent), own in rows.items()
        ]
        actions: dict[Episode, dict[AgentId, Any]] = {}
        infos_wanted = self.episodes.infos_wanted
        for done in self.policies.run(seen, greedy=self.batches.evaluations):
            episode, agent = done.track.episode, done.track.agent
            action, outputs = done.action, done.outputs
            if (episode, agent) in given:
                action, others = given[episode, agent]
                outputs = {name: others.get(name, value) for name, value in outputs.items()}
            if infos_wanted:
                outputs = {**outputs, **blank_infos(infos_wanted)}
            self.batches.act(done.track, done.observations, outputs)
            actions.setdefault(episode, {})[agent] = action
        return actions
