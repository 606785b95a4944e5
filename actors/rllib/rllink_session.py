"""One RLlink client's session: a state machine between a connection and a `Client`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.recording.batch_lifecycle import BatchLifecycle
from headrace.actors.recording.evaluation import Evaluation
from headrace.actors.rllib.episode_batch import EpisodeBatch
from headrace.actors.rllib.rllink_messages import (
    EPISODES,
    EPISODES_AND_GET_STATE,
    GET_CONFIG,
    GET_STATE,
    PING,
    PONG,
    SET_CONFIG,
    SET_STATE,
    RLlinkExtension,
    episodes_of,
    extension_of,
    write_extension,
    write_message,
)
from headrace.protocol.errors import ConfigError, RejectCode, RemoteProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.policy_graph import is_parameter

_LOOK_FOR_STOP_S = 0.2

Clock = Callable[[], float]
MakeConfig = Callable[[int], bytes]
"""Returns the pickled config for clients that send this many env steps at once."""


class RLlinkSession:
    """Answers one client's messages, and delivers its episodes as an actor's.

    A client gets the state when a batch may be begun, which is RLlib's own rhythm: on-policy
    algorithms keep it waiting until they have new weights, and others do not.

    RLlink has no message for assignments or evaluations. SET_STATE carries them in a map
    `headrace`, which RLlib's clients ignore: the assignment's `task`, `options` and `seed`, and
    `evaluate`. A client that honours it repeats `task` in a map `headrace` in its EPISODES. One
    that sends `{"evaluates": True}` there with GET_CONFIG or GET_STATE gets evaluations: it acts
    greedily for one whole episode.
    """

    def __init__(
        self,
        client: BrokerClient,
        make_config: MakeConfig,
        stopping: threading.Event,
        clock: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._make_config = make_config
        self._stopping = stopping
        self._batches = BatchLifecycle(client, clock)
        self._episodes = EpisodeBatch(clock)
        self._evaluated = EpisodeBatch(clock)
        self._evaluation: Evaluation | None = None
        self._acts_with: PolicyUpdate | None = None

    def answer(self, kind: str, body: Mapping[str, Any]) -> bytes | None:
        """Returns the reply to a message, None if it has none or the gateway is stopping.

        Raises:
            RemoteProtocolError: it is not a message of RLlink 0.0.1, or is out of order.
            ConfigError: the learner's run is not one that RLlink can serve.
            RefusedError: the broker will not serve this actor.
        """
        match kind:
            case "PING":
                return write_message(PONG)
            case "GET_CONFIG":
                self._note_extension(extension_of(body))
                return self._config()
            case "GET_STATE":
                self._note_extension(extension_of(body))
                return self._state()
            case "EPISODES":
                self._deliver(body)
                return None
            case "EPISODES_AND_GET_STATE":
                self._deliver(body)
                return self._state()
            case _:
                raise RemoteProtocolError(
                    RejectCode.MALFORMED,
                    f"message type {kind!r} is not in RLlink 0.0.1's new API stack, which has "
                    f"{PING}, {GET_CONFIG}, {GET_STATE}, {EPISODES} and {EPISODES_AND_GET_STATE}",
                )

    def close(self) -> None:
        """Gives back an evaluation that the client did not finish."""
        if self._evaluation is not None:
            self._evaluation.give_back()
            self._evaluation = None

    def _note_extension(self, extension: RLlinkExtension) -> None:
        if extension.evaluates:
            self._client.offer_evaluation()

    def _config(self) -> bytes | None:
        self._begin()
        permit = self._batches.permit
        if permit is None:
            return None
        return write_message(SET_CONFIG, config=self._make_config(permit.credit.fragment_steps))

    def _state(self) -> bytes | None:
        """Returns the newest weights once data is wanted, for training or for an evaluation."""
        if self._evaluation is None:
            self._begin(until_evaluation=True)
            if self._client.evaluation_is_wanted:
                self._evaluation = Evaluation.begin(self._client, self._batches, self._use)
        permit = self._evaluation or self._batches.permit
        if permit is None:
            return None
        self._acts_with = update = permit.update
        weights = update.weights[DEFAULT_MODULE]
        parameters = {name: value for name, value in weights.items() if is_parameter(name)}
        state = {"rl_module": parameters, "weights_seq_no": update.version.number}
        extension = write_extension(self._client.assignment, evaluate=self._evaluation is not None)
        return write_message(SET_STATE, state=state, **extension)

    def _deliver(self, body: Mapping[str, Any]) -> None:
        if self._acts_with is None:
            raise RemoteProtocolError(
                RejectCode.MALFORMED, "episodes before GET_STATE: the acting policy is unknown"
            )
        extension = extension_of(body)
        pieces = episodes_of(body)
        try:
            if self._evaluation is not None and extension.evaluates:
                self._deliver_evaluation(self._evaluation, pieces)
            else:
                self._deliver_training(pieces, self._acts_with, extension.task)
        except (ConfigError, ValueError) as error:
            raise RemoteProtocolError(RejectCode.INVALID_BATCH, str(error)) from error

    def _deliver_training(
        self, pieces: Sequence[SingleAgentEpisode], update: PolicyUpdate, task: str | None
    ) -> None:
        for piece in pieces:
            self._episodes.add(piece)
        if not self._episodes.env_steps:
            return
        if not self._batches.is_open:
            self._begin()
        self._batches.deliver(self._episodes, task, update)

    def _deliver_evaluation(
        self, evaluation: Evaluation, pieces: Sequence[SingleAgentEpisode]
    ) -> None:
        for piece in pieces:
            self._evaluated.add(piece)
        if self._evaluated.env_steps and not self._evaluated.has_open:
            self._evaluation = None
            self._batches.deliver(self._episodes, None)
            evaluation.deliver(self._evaluated)

    def _use(self, update: PolicyUpdate) -> None:
        manifest = update.policy.manifest
        if manifest.multi_agent:
            raise ConfigError("RLlink supports one agent per simulator; this run has several")
        for batch in (self._episodes, self._evaluated):
            batch.adopt(manifest.modules[DEFAULT_MODULE])

    def _begin(self, *, until_evaluation: bool = False) -> None:
        """Waits until a batch is begun, the gateway stops, or an evaluation is wanted."""
        while not self._stopping.is_set():
            if self._batches.begin(self._use, _LOOK_FOR_STOP_S, until_evaluation=until_evaluation):
                return
            if until_evaluation and self._client.evaluation_is_wanted:
                return
