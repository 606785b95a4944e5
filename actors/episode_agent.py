"""Acting and recording for episodes that go their own ways, with one agent or many."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from headrace.actors.batching import BatchDelivery, OpenBatch
from headrace.actors.client import BatchPermit, Client
from headrace.actors.episode_recorder import Columns, Ending, Episode, EpisodeRecorder, Track
from headrace.actors.module_policies import ModulePolicies
from headrace.actors.policy import Acted, OnnxPolicy
from headrace.actors.session import PolicyUpdate
from headrace.actors.single import action_of_one, rows_of_one
from headrace.protocol.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import Manifest

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]
AgentId = str
Observations = Mapping[Episode, Mapping[AgentId, Any]]
ModuleOf = Callable[[AgentId], str]


class EpisodeAgent:
    """Acts for any number of episodes at once; they need not step together.

    `start` an episode, `act` upon its observations, tell its `reward`s, and `end` it. Not for
    several threads at once.
    """

    def __init__(
        self,
        client: Client,
        *,
        waits: bool = True,
        module_of: ModuleOf | None = None,
        seed: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Needs no broker yet.

        Args:
            waits: whether `act` waits for credit; else it acts without recording meanwhile.
            module_of: which module acts for an agent, where the run has several.
        """
        self._client = client
        self._waits = waits
        self._module_of = module_of
        self._clock = clock
        self._policies = ModulePolicies(np.random.default_rng(seed))
        self._recorder = EpisodeRecorder(clock)
        self._delivery = BatchDelivery(client)
        self._batch: OpenBatch | None = None
        self._tracks: dict[Episode, dict[AgentId, Track]] = {}
        self._unchecked: set[str] = set()

    def manifest(self, timeout_s: float | None = None) -> Manifest | None:
        """Returns what the learner says of the run; waits for it, None if it does not come.

        Raises:
            ConfigError: the learner exports no graphs.
            RefusedError: the broker will not serve this actor.
        """
        update = self._client.policy_update(timeout_s)
        if update is None:
            return None
        if not self._policies:
            try:
                self._use(update)
            except RemoteProtocolError as error:
                _LOG.error("cannot act with policy version %s: %s", update.version, error)
                return None
        return update.policy.manifest

    @property
    def version(self) -> PolicyVersion | None:
        """The policy version that acts, None before the first one."""
        return self._policies.version

    def start(self, *, is_recorded: bool = True) -> Episode:
        """Begins an episode; its agents begin with their first observations."""
        episode = Episode(self._clock(), is_recorded=is_recorded)
        self._tracks[episode] = {}
        return episode

    def act(
        self, observations: Observations, timeout_s: float | None = None
    ) -> dict[Episode, dict[AgentId, Any]] | None:
        """Returns actions as the simulator expects them; agents that are not named go on.

        Waits for the broker, the learner and credit, for at most `timeout_s`; None means that time
        is up, or that the client was closed: then ask again with the same observations.

        Raises:
            ConfigError: the observations do not fit the learner's policy.
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
        self, rows_by_episode: Mapping[Episode, Mapping[AgentId, Columns]], timeout_s: float | None
    ) -> dict[Episode, dict[AgentId, Any]] | None:
        """Does what `act` does, for observations as rows by path."""
        rows = {
            (episode, agent): own
            for episode, agents in rows_by_episode.items()
            for agent, own in agents.items()
        }
        self._observe(rows)
        self.deliver_if_due()
        is_recorded = any(episode.is_recorded for episode in rows_by_episode)
        if not self._begin(rows, timeout_s, is_recorded):
            return None
        acted = self._run_policies(rows)
        for episode in rows_by_episode:
            episode.env_t += 1
        return {
            episode: {agent: acted[episode, agent] for agent in agents}
            for episode, agents in rows_by_episode.items()
        }

    def rows_of(self, agent: AgentId, observation: Any) -> Columns:
        """Returns an observation, which may be of lists and numbers, as `act_upon` takes it.

        Raises:
            ConfigError: it does not fit, or there is no module for the agent.
        """
        return self._policies[self._module(agent)].rows_of(observation)

    def agents_of(self, episode: Episode) -> list[AgentId]:
        """Returns who is in an episode."""
        return list(self._tracks_of(episode))

    def has_acted(self, episode: Episode, agent: AgentId) -> bool:
        """Returns whether an agent is in an episode."""
        return agent in self._tracks_of(episode)

    def reward(self, episode: Episode, rewards: Mapping[AgentId, float]) -> None:
        """Adds to what the agents' last actions have brought.

        Raises:
            LocalProtocolError: an agent has not acted yet, or has left.
        """
        tracks = self._tracks_of(episode)
        for agent, reward in rewards.items():
            if agent not in tracks:
                raise LocalProtocolError(f"a reward for agent {agent!r} before its first action")
            tracks[agent].reward(reward)

    def end_agent(self, episode: Episode, agent: AgentId, observation: Any, ending: Ending) -> None:
        """Lets an agent leave an episode that goes on.

        Args:
            observation: the last one; None repeats the one before, which is as good for an agent
                that is terminated.

        Raises:
            LocalProtocolError: there is no such agent, or it was truncated and saw nothing.
        """
        track = self._tracks_of(episode).pop(agent, None)
        if track is None:
            raise LocalProtocolError(f"agent {agent!r} cannot leave: it is not in this episode")
        if track.under_way is None:
            self._recorder.forget(track)
            return
        if observation is None and not ending.terminated:
            raise LocalProtocolError(f"agent {agent!r} is truncated without its last observation")
        last = track.last_observations
        if observation is not None:
            last = self._see(track, self._policies[track.module].rows_of(observation))
        if self._recorder.end(track, last, ending):
            self._client.count_unrecorded(1)

    def end(self, episode: Episode, observations: Mapping[AgentId, Any], ending: Ending) -> None:
        """Ends an episode for all agents that are in it, with what each saw last.

        Raises:
            LocalProtocolError: it has ended already, or a truncated agent saw nothing.
        """
        for agent in list(self._tracks_of(episode)):
            self.end_agent(episode, agent, observations.get(agent), ending)
        del self._tracks[episode]
        self.deliver_if_due()

    def cut_off(self, episode: Episode) -> None:
        """Ends an episode that nobody goes on with: truncated, where it was seen last."""
        for track in self._tracks.pop(episode, {}).values():
            self._recorder.cut_off(track)

    def deliver_if_due(self) -> None:
        """Ends the batch in the making if it is full; `act` and `end` do so, too."""
        batch, newest = self._batch, self._client.newest_version
        if batch is not None and batch.is_full(self._recorder.env_steps, self._clock(), newest):
            self._deliver(batch)

    def use_newest_weights(self) -> None:
        """Ends the batch in the making if there are newer weights than it was begun with."""
        batch = self._batch
        if batch is not None and self._client.newest_version != batch.permit.update.version:
            self._deliver(batch)

    def deliver(self) -> None:
        """Ends the batch in the making, however short it is."""
        if self._batch is not None:
            self._deliver(self._batch)

    # ---------------------------------------------------------------- recording

    def _tracks_of(self, episode: Episode) -> dict[AgentId, Track]:
        if episode not in self._tracks:
            raise LocalProtocolError("this episode has ended")
        return self._tracks[episode]

    def _see(self, track: Track, rows: Columns) -> Columns:
        """Returns an observation as it is recorded."""
        return self._policies[track.module].observe(
            rows, track.state, np.array([track.last_reward], np.float32)
        )

    def _observe(self, rows: Mapping[tuple[Episode, AgentId], Columns]) -> None:
        """Completes the steps that are under way."""
        missed: set[Episode] = set()
        for (episode, agent), own in rows.items():
            track = self._tracks_of(episode).get(agent)
            if track is None or track.under_way is None:
                continue
            track.last_reward = track.under_way.reward
            if self._recorder.observe(track, self._see(track, own)):
                missed.add(episode)
        if missed:
            self._client.count_unrecorded(len(missed))

    def _deliver(self, batch: OpenBatch) -> None:
        self._batch = None
        if self._recorder.env_steps:
            recorder = self._recorder
            self._delivery.deliver(batch.permit, recorder.take_batch, recorder.discard_batch)

    # ---------------------------------------------------------------- acting

    def _begin(
        self,
        rows: Mapping[tuple[Episode, AgentId], Columns],
        timeout_s: float | None,
        is_recorded: bool,
    ) -> bool:
        """Makes sure that there are policies, and a batch if one is wanted and may be begun."""
        if self._client.is_closed:
            return False
        if self._batch is not None:
            return True
        while True:
            permit: BatchPermit | None = None
            if is_recorded and (self._waits or self._may_begin()):
                permit = self._client.begin(timeout_s)
                update = permit.update if permit is not None else None
            else:
                update = self._client.policy_update(timeout_s)
            if update is None:
                return False
            try:
                self._use(update)
                self._check(rows)
            except RemoteProtocolError as error:
                _LOG.error("cannot act with policy version %s: %s", update.version, error)
                if self._client.policy_update_after(update.version, timeout_s) is None:
                    return False
            else:
                self._batch = OpenBatch.begin(permit, self._clock()) if permit else None
                return True

    def _may_begin(self) -> bool:
        return self._client.newest_version is not None and self._client.may_begin()

    def _use(self, update: PolicyUpdate) -> None:
        if not self._policies.use(update):
            return
        self._recorder.adopt(update.policy.manifest)
        self._unchecked = set(self._policies)
        for tracks in self._tracks.values():
            for track in tracks.values():
                track.state = {}

    def _check(self, rows: Mapping[tuple[Episode, AgentId], Columns]) -> None:
        """Compares the first observations for each module with what its graph expects."""
        if not self._unchecked:
            return
        for (_, agent), own in rows.items():
            module = self._module(agent)
            if module in self._unchecked:
                self._policies[module].check_observations(own)
                self._unchecked.discard(module)

    def _module(self, agent: AgentId) -> str:
        if self._module_of is not None:
            module = self._module_of(agent)
        elif len(self._policies) == 1:
            module = next(iter(self._policies))
        else:
            module = agent
        if module not in self._policies:
            raise ConfigError(
                f"module {module!r} acts for agent {agent!r}, and the learner has "
                f"{', '.join(self._policies)}: give a mapping from agents to modules"
            )
        return module

    def _run_policies(
        self, rows: Mapping[tuple[Episode, AgentId], Columns]
    ) -> dict[tuple[Episode, AgentId], Any]:
        """Runs each module once, for all of its agents."""
        by_module: dict[str, list[Track]] = {}
        for episode, agent in rows:
            track = self._tracks[episode].get(agent)
            if track is None:
                track = Track(episode, agent, self._module(agent))
                self._tracks[episode][agent] = track
            by_module.setdefault(track.module, []).append(track)
        actions: dict[tuple[Episode, AgentId], Any] = {}
        for module, tracks in by_module.items():
            acted = self._run(self._policies[module], tracks, rows)
            for index, track in enumerate(tracks):
                one = slice(index, index + 1)
                track.state = {name: value[one] for name, value in acted.state.items()}
                self._recorder.act(
                    track,
                    {name: value[one] for name, value in acted.observations.items()},
                    {name: value[one] for name, value in acted.recorded.items()},
                    is_recorded=self._batch is not None,
                )
                actions[track.episode, track.agent] = action_of_one(acted.env_actions[one])
        return actions

    def _run(
        self,
        policy: OnnxPolicy,
        tracks: list[Track],
        rows: Mapping[tuple[Episode, AgentId], Columns],
    ) -> Acted:
        own = [rows[track.episode, track.agent] for track in tracks]
        states = [track.state or policy.initial_state(1) for track in tracks]
        return policy.act(
            _join(own), _join(states), np.array([track.last_reward for track in tracks], np.float32)
        )


def _join(rows: list[Columns]) -> Columns:
    if len(rows) == 1:
        return rows[0]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
