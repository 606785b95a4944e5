"""The training batches and evaluations recorded from episodes that step independently."""

from __future__ import annotations

from collections.abc import Callable, Collection

from headrace.actors.agents.episode_evaluations import EpisodeEvaluations
from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.recording.batch_lifecycle import BatchLifecycle, UsePolicy
from headrace.actors.recording.episode_recorder import EpisodeRecorder
from headrace.actors.recording.step_result import Columns, Ending
from headrace.actors.recording.tracks import Episode, Track
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.manifest import Manifest

Clock = Callable[[], float]


class EpisodeBatches:
    """One training batch at a time, and a batch for each evaluation episode.

    Before a step `prepare`; then `act` for each agent, `observe` its next observation, and finally
    `end` or `cut_off` the episode.

    Attributes:
        manifest: that of the policies in use, None before the first ones.
        evaluations: the open episodes that are evaluations.
    """

    def __init__(self, client: BrokerClient, clock: Clock, *, waits: bool) -> None:
        """Does not wait for the broker.

        Args:
            waits: whether `prepare` waits for credit; else steps without it are not recorded.
        """
        self._client = client
        self._waits = waits
        self._recorder = EpisodeRecorder(clock)
        self._batches = BatchLifecycle(client, clock)
        self.evaluations = EpisodeEvaluations(client, self._batches, clock)
        self.manifest: Manifest | None = None

    def adopt(self, manifest: Manifest) -> None:
        """Switches to another manifest, and forgets what was recorded so far."""
        self.manifest = manifest
        self._recorder.adopt(manifest)
        self.evaluations.give_back_all()

    def wait_for_policy(self, use: UsePolicy, timeout_s: float | None) -> bool:
        """Waits for a policy, to act without recording; see `BatchLifecycle.wait_for_policy`."""
        return self._batches.wait_for_policy(use, timeout_s)

    # ---------------------------------------------------------------- before a step

    def prepare(
        self,
        episodes: Collection[Episode],
        timeout_s: float | None,
        use: UsePolicy,
        acted_for: Collection[Episode],
    ) -> bool:
        """Gets a policy, and begins a batch if needed and allowed; returns False on timeout.

        Args:
            episodes: those in which agents act now.
            use: switches to an update; raises what `act` raises.
            acted_for: those in which the policy does not choose the actions.
        """
        client, batches, evaluations = self._client, self._batches, self.evaluations
        while not client.is_closed:
            self._begin_evaluations(episodes, use, acted_for)
            if batches.is_open:
                return True
            needs_batch = any(e.is_recorded and e not in evaluations for e in episodes)
            waits = needs_batch and self._waits and not evaluations.are_open
            prepared = batches.prepare(use, timeout_s, needs_batch=needs_batch, waits=waits)
            if prepared is not None:
                return prepared
        return False

    def _begin_evaluations(
        self, episodes: Collection[Episode], use: UsePolicy, acted_for: Collection[Episode]
    ) -> None:
        """Turns episodes that begin now into evaluations, if any are wanted."""
        for episode in acted_for:
            self.evaluations.give_back(episode)
        if not self._client.evaluation_is_wanted:
            return
        starting = [e for e in episodes if e.is_recorded and not e.env_t and e not in acted_for]
        if starting:
            self.deliver()  # they may need newer weights than the batch was begun with
            self.evaluations.begin(starting, use, self._require_manifest)

    # ---------------------------------------------------------------- steps

    def act(self, track: Track, observations: Columns, outputs: Columns) -> None:
        """Begins a step; see `EpisodeRecorder.act`."""
        episode = track.episode
        is_recorded = self._batches.is_open or episode in self.evaluations
        self._recorder_of(episode).act(track, observations, outputs, is_recorded=is_recorded)

    def observe(self, track: Track, observations: Columns) -> bool:
        """Completes a step; see `EpisodeRecorder.observe`."""
        return self._recorder_of(track.episode).observe(track, observations)

    # ---------------------------------------------------------------- ends

    def leave(self, track: Track, observations: Columns, ending: Ending) -> None:
        """Ends an agent's episode with its last observation; one that has not acted just leaves."""
        recorder = self._recorder_of(track.episode)
        if track.in_progress is None:
            recorder.forget(track)
        elif recorder.end(track, observations, ending):
            self._client.count_unrecorded(1)

    def end(self, episode: Episode, *, truncated: bool) -> None:
        """Records the end of an episode that all of its agents have left."""
        self._recorder_of(episode).end_episode(episode, truncated=truncated)
        if episode in self.evaluations:
            self._deliver_evaluation(episode)
        self.deliver_if_due()

    def cut_off(self, episode: Episode, tracks: Collection[Track]) -> None:
        """Truncates an episode, and its agents' tracks, at their last observations."""
        self._truncate(episode, tracks)
        self.evaluations.give_back(episode)

    def cut_evaluation(self, episode: Episode, tracks: Collection[Track]) -> None:
        """Delivers an evaluation that is complete, truncated at its agents' last observations."""
        self._truncate(episode, tracks)
        self._deliver_evaluation(episode)

    def _truncate(self, episode: Episode, tracks: Collection[Track]) -> None:
        recorder = self._recorder_of(episode)
        for track in tracks:
            recorder.cut_off(track)
        recorder.end_episode(episode, truncated=True)

    def _deliver_evaluation(self, episode: Episode) -> None:
        self.deliver()  # before the evaluation, which takes the next number
        self.evaluations.deliver(episode)

    def stop_recording(self, episode: Episode, tracks: Collection[Track]) -> None:
        """Forgets what was recorded of a broken episode and its agents, and counts it."""
        dropped = self._recorder_of(episode).drop_episode(episode)
        for track in tracks:
            track.stop_recording()
        if not episode.is_broken:
            self._client.count_broken(1, dropped)
        episode.is_broken, episode.is_recorded = True, False
        self.evaluations.give_back(episode)

    def forget(self, tracks: Collection[Track]) -> None:
        """Leaves all open episodes unended; keeps what was recorded of them."""
        for track in tracks:
            self._recorder_of(track.episode).forget(track)
        self.evaluations.give_back_all()

    # ---------------------------------------------------------------- batches

    def deliver_if_due(self) -> None:
        """Ends the open batch if it is full; pushes parts of evaluations that are too large."""
        if self._batches.is_full(self._recorder.env_steps):
            self.deliver()
        if self.evaluations.is_any_part_full:
            self.deliver()  # before an evaluation, which takes the next number
            self.evaluations.deliver_parts()

    def use_newest_weights(self) -> None:
        """Ends the open batch if newer weights have arrived since it was begun."""
        if self._batches.is_outdated:
            self.deliver()

    def deliver(self) -> None:
        """Ends the open batch, however short it is."""
        self._batches.deliver(self._recorder, self._recorder.task)

    def _recorder_of(self, episode: Episode) -> EpisodeRecorder:
        return self.evaluations.recorder_of(episode) or self._recorder

    def _require_manifest(self) -> Manifest:
        if self.manifest is None:
            raise LocalProtocolError("there is no policy yet")
        return self.manifest
