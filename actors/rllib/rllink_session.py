"""What an RLlink client is answered: a state machine between one connection and a `Client`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from headrace.actors.connection.client import BatchPermit, Client
from headrace.actors.connection.session import PolicyUpdate
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
    episodes_of,
    write_message,
)
from headrace.protocol.errors import ConfigError, RejectCode, RemoteProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.policy_graph import is_parameter

_LOG = logging.getLogger("headrace.rllink")
_LOOK_FOR_STOP_S = 0.2

Clock = Callable[[], float]
MakeConfig = Callable[[int], bytes]
"""Returns the pickled config for clients that send so many env steps at once."""


class RLlinkSession:
    """Answers one client's messages, and delivers its episodes as an actor's.

    A client gets the state when a batch may be begun, which is RLlib's own rhythm: on-policy
    algorithms keep it waiting until they have new weights, and others do not.
    """

    def __init__(
        self,
        client: Client,
        make_config: MakeConfig,
        stopping: threading.Event,
        clock: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._make_config = make_config
        self._stopping = stopping
        self._batch = EpisodeBatch(clock)
        self._acts_with: PolicyUpdate | None = None

    def answer(self, kind: str, body: Mapping[str, Any]) -> bytes | None:
        """Returns the reply to a message, None for one that has none, or at the end.

        Raises:
            RemoteProtocolError: it is no message of RLlink 0.0.1, or makes no sense now.
            ConfigError: the learner's run is not one that RLlink can serve.
            RefusedError: the broker will not serve this actor.
        """
        match kind:
            case "PING":
                return write_message(PONG)
            case "GET_CONFIG":
                return self._config()
            case "GET_STATE":
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
                    f"message type {kind!r} is not of RLlink 0.0.1's new API stack, which has "
                    f"{PING}, {GET_CONFIG}, {GET_STATE}, {EPISODES} and {EPISODES_AND_GET_STATE}",
                )

    def _config(self) -> bytes | None:
        permit = self._permit()
        if permit is None or permit.credit is None:
            return None
        return write_message(SET_CONFIG, config=self._make_config(permit.credit.fragment_steps))

    def _state(self) -> bytes | None:
        permit = self._permit()
        if permit is None:
            return None
        self._acts_with = update = permit.update
        weights = update.weights[DEFAULT_MODULE]
        parameters = {name: value for name, value in weights.items() if is_parameter(name)}
        state = {"rl_module": parameters, "weights_seq_no": update.version.number}
        return write_message(SET_STATE, state=state)

    def _deliver(self, body: Mapping[str, Any]) -> None:
        update = self._acts_with
        if update is None:
            raise RemoteProtocolError(
                RejectCode.MALFORMED, "episodes before GET_STATE: nobody knows what acted"
            )
        for piece in episodes_of(body):
            self._batch.add(piece)
        if not self._batch.env_steps or self._permit() is None:
            return
        env_steps = self._batch.env_steps
        try:
            batch = self._batch.take(update.policy.manifest.modules[DEFAULT_MODULE])
        except (ConfigError, ValueError) as error:
            raise RemoteProtocolError(RejectCode.INVALID_BATCH, str(error)) from error
        self._client.push(batch, update, env_steps)

    def _permit(self) -> BatchPermit | None:
        """Waits until a batch may be begun; None when the gateway stops."""
        while not self._stopping.is_set():
            permit = self._client.begin(_LOOK_FOR_STOP_S)
            if permit is None:
                continue
            if permit.update.policy.manifest.multi_agent:
                raise ConfigError("RLlink knows one agent per simulator, and this run has several")
            return permit
        return None
