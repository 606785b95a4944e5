"""Acting and recording for episodes that go their own ways, with one agent or many."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from headrace.actors.agents.policy_runner import AgentId, ModuleOf, PolicyRunner
from headrace.actors.connection.assignments import AssignmentWatch, Reset
from headrace.actors.connection.client import BatchPermit, Client
from headrace.actors.connection.session import PolicyUpdate
from headrace.actors.recording.batch_lifecycle import BatchDelivery, OpenBatch
from headrace.actors.recording.episode_recorder import EpisodeRecorder
from headrace.actors.recording.infos import blank_infos, info_numbers
from headrace.actors.recording.rows import rows_of_one
from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Columns, Episode, Track
from headrace.protocol.errors import LocalProtocolError, RemoteProtocolError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import Manifest
from headrace.protocol.messages import Assignment

_LOG = logging.getLogger("headrace.actor")

Clock = Callable[[], float]
Observations = Mapping[Episode, Mapping[AgentId, Any]]
GivenAction = tuple[Any, Columns]
"""An action for the simulator, and what is recorded of it."""
Given = Mapping[tuple[Episode, AgentId], GivenAction]
_NOTHING: Given = {}


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
            module_of: which module acts for an agent, where the learner does not say.
        """
        self._client = client
        self._waits = waits
        self._clock = clock
        self._policies = PolicyRunner(np.random.default_rng(seed), module_of)
        self._recorder = EpisodeRecorder(clock)
        self._delivery = BatchDelivery(client)
        self._assignments = AssignmentWatch(client)
        self._batch: OpenBatch | None = None
        self._tracks: dict[Episode, dict[AgentId, Track]] = {}
        self._manifest: Manifest | None = None

    def manifest(self, timeout_s: float | None = None) -> Manifest | None:
        """Returns what the learner says of the run that is acted for.

        Waits for it, if there is none yet; None if it does not come.

        Raises:
            ConfigError: the learner exports no graphs.
            RefusedError: the broker will not serve this actor.
        """
        if self._manifest is not None:
            return self._manifest
        update = self._client.policy_update(timeout_s)
        if update is None:
            return None
        try:
            self._use(update)
        except RemoteProtocolError as error:
            _LOG.error("cannot act with policy version %s: %s", update.version, error)
        return self._manifest

    @property
    def version(self) -> PolicyVersion | None:
        """The policy version that acts, None before the first one."""
        return self._policies.version

    def start(self, *, is_recorded: bool = True, task: str | None = None) -> Episode:
        """Begins an episode; its agents begin with their first observations.

        Args:
            task: of the `Reset` that its simulator was reset to.
        """
        episode = Episode(self._clock(), is_recorded=is_recorded, task=task)
        self._tracks[episode] = {}
        return episode

    def act(
        self, observations: Observations, timeout_s: float | None = None
    ) -> dict[Episode, dict[AgentId, Any]] | None:
        """Returns actions as the simulator expects them; agents that are not named go on.

        Waits for the broker, the learner and credit, for at most `timeout_s`; None means that time
        is up, or that the client was closed: then ask again with the same observations. If you ask
        it, None may also mean that there is something to `take_reset`.

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
        self,
        rows_by_episode: Mapping[Episode, Mapping[AgentId, Columns]],
        timeout_s: float | None,
        given: Given = _NOTHING,
    ) -> dict[Episode, dict[AgentId, Any]] | None:
        """Does what `act` does, for observations as rows by path.

        Args:
            given: what agents do without being asked; see `given_action`.
        """
        rows = {
            (episode, agent): own
            for episode, agents in rows_by_episode.items()
            for agent, own in agents.items()
        }
        self._observe(rows)
        self.deliver_if_due()
        is_recorded = any(episode.is_recorded for episode in rows_by_episode)
        if not self._begin(rows, timeout_s, is_recorded) or self._is_reset_due:
            return None
        actions = self._decide(rows, given)
        for episode in rows_by_episode:
            episode.env_t += 1
        return actions

    def given_action(self, agent: AgentId, action: Any) -> GivenAction:
        """Returns an action that somebody else chose, as `act_upon` takes it.

        Raises:
            ConfigError: the learner cannot train on it, or it does not fit.
        """
        return action, self._policies.recorded_action(agent, action)

    def rows_of(self, agent: AgentId, observation: Any) -> Columns:
        """Returns an observation, which may be of lists and numbers, as `act_upon` takes it.

        Raises:
            ConfigError: it does not fit, or there is no module for the agent.
        """
        return self._policies.rows_of(agent, observation)

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

    def inform(self, episode: Episode, infos: Mapping[AgentId, Mapping[str, Any]]) -> None:
        """Notes what the simulator says of the agents' last actions, as far as it is asked for.

        Raises:
            ConfigError: what is asked for is no number here.
            LocalProtocolError: an agent has not acted yet, or has left.
        """
        tracks = self._tracks_of(episode)
        for agent, info in infos.items():
            numbers = info_numbers(self._infos_wanted, info)
            if not numbers:
                continue
            if agent not in tracks:
                raise LocalProtocolError(f"an info of agent {agent!r} before its first action")
            tracks[agent].inform(numbers)

    def check_info(self, info: Mapping[str, Any]) -> None:
        """Raises, before anything is noted, what `inform` would raise as ConfigError."""
        info_numbers(self._infos_wanted, info)

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
            last = self._policies.see(track, self._policies.rows_of(agent, observation))
        if self._recorder.end(track, last, ending):
            self._client.count_unrecorded(1)

    def end(self, episode: Episode, observations: Mapping[AgentId, Any], ending: Ending) -> None:
        """Ends an episode for all agents that are in it, with what each saw last.

        Raises:
            LocalProtocolError: it has ended already, or a truncated agent saw nothing.
        """
        for agent in list(self._tracks_of(episode)):
            self.end_agent(episode, agent, observations.get(agent), ending)
        self._recorder.end_episode(episode, truncated=not ending.terminated)
        del self._tracks[episode]
        self.deliver_if_due()

    def cut_off(self, episode: Episode) -> None:
        """Ends an episode that nobody goes on with: truncated, where it was seen last."""
        for track in self._tracks.pop(episode, {}).values():
            self._recorder.cut_off(track)
        self._recorder.end_episode(episode, truncated=True)

    def take_reset(self) -> Reset | None:
        """Returns, once, how to reset all simulators, if the learner has assigned something else.

        A single episode is left to its end first; several are left without an end, wherever they
        are. In either case `start` others then. None leaves all as it is.
        """
        self._assignments.watch()
        if not self._is_reset_due:
            return None
        for tracks in self._tracks.values():
            for track in tracks.values():
                self._recorder.forget(track)
        self._tracks.clear()
        return self.adopt_assignment()

    @property
    def assignment(self) -> Assignment | None:
        """What the learner wants episodes to run that begin now."""
        return self._client.assignment

    def adopt_assignment(self) -> Reset:
        """Returns how to reset simulators whose episodes begin now."""
        if self._assignments.has_changed:
            self.deliver()
        return self._assignments.adopt()

    def drop(self, episode: Episode) -> None:
        """Forgets an episode whose simulator failed, and counts it as broken.

        What was delivered of it already stays.
        """
        self._tracks.pop(episode, None)
        self._client.count_broken(1, self._recorder.drop_episode(episode))

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

    def _observe(self, rows: Mapping[tuple[Episode, AgentId], Columns]) -> None:
        """Completes the steps that are under way."""
        missed: set[Episode] = set()
        for (episode, agent), own in rows.items():
            track = self._tracks_of(episode).get(agent)
            if track is None or track.under_way is None:
                continue
            if self._recorder.observe(track, self._policies.see(track, own)):
                missed.add(episode)
        if missed:
            self._client.count_unrecorded(len(missed))

    def _deliver(self, batch: OpenBatch) -> None:
        self._batch = None
        if self._recorder.env_steps:
            recorder = self._recorder
            self._delivery.deliver(
                batch.permit, recorder.take_batch, recorder.discard_batch, recorder.task
            )

    # ---------------------------------------------------------------- acting

    @property
    def _infos_wanted(self) -> tuple[str, ...]:
        return self._manifest.infos if self._manifest is not None else ()

    @property
    def _is_reset_due(self) -> bool:
        if not self._assignments.is_behind:
            return False
        return len(self._tracks) > 1 or all(not episode.env_t for episode in self._tracks)

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
                self._policies.check((agent, own) for (_, agent), own in rows.items())
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
        self._manifest = manifest = update.policy.manifest
        self._recorder.adopt(manifest)
        for tracks in self._tracks.values():
            for track in tracks.values():
                track.state = {}

    def _decide(
        self, rows: Mapping[tuple[Episode, AgentId], Columns], given: Given
    ) -> dict[Episode, dict[AgentId, Any]]:
        """Has every agent act, and records what it does; or what it was told to do."""
        seen: list[tuple[Track, Columns]] = []
        for (episode, agent), own in rows.items():
            track = self._tracks[episode].get(agent)
            if track is None:
                track = Track(episode, agent, self._policies.module_of(agent))
                self._tracks[episode][agent] = track
            seen.append((track, own))
        actions: dict[Episode, dict[AgentId, Any]] = {}
        infos_wanted = self._infos_wanted
        for done in self._policies.run(seen):
            episode, agent = done.track.episode, done.track.agent
            action, outputs = done.action, done.outputs
            if (episode, agent) in given:
                action, others = given[episode, agent]
                outputs = {name: others.get(name, value) for name, value in outputs.items()}
            if infos_wanted:
                outputs = {**outputs, **blank_infos(infos_wanted)}
            is_recorded = self._batch is not None
            self._recorder.act(done.track, done.observations, outputs, is_recorded=is_recorded)
            actions.setdefault(episode, {})[agent] = action
        return actions
