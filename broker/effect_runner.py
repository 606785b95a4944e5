"""Performs the effects that the router returns."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import assert_never

from headrace.broker.journal.dead_letters import DeadLetter, DeadLetterFile
from headrace.broker.journal.thread import JournalThread
from headrace.broker.routing.effects import (
    Effect,
    ForgetBatch,
    KeepDeadLetter,
    Note,
    PublishControl,
    PublishWeights,
    SendToLearner,
    StoreBatch,
)
from headrace.broker.transport.sockets import BrokerSockets
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.zeromq.frames import send

_LOG = logging.getLogger("headrace.broker")


class EffectRunner:
    """Sends, logs and stores; without a journal or dead-letter file it skips their effects."""

    def __init__(
        self,
        journal: JournalThread | None,
        dead_letters: DeadLetterFile | None,
        wall_clock: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._dead_letters = dead_letters
        self._wall_clock = wall_clock

    def perform(self, effect: Effect, sockets: BrokerSockets) -> None:
        """Performs one effect."""
        match effect:
            case PublishControl(topic, message):
                send(sockets.control, (topic, encode_header(message)))
            case PublishWeights(topic, weights, payloads):
                send(sockets.weights, (topic, encode_header(weights), *payloads))
            case SendToLearner(routing_id, answer, payloads):
                send(sockets.learner, (routing_id, encode_header(answer), *payloads))
            case Note(text, is_warning):
                _LOG.log(logging.WARNING if is_warning else logging.INFO, text)
            case KeepDeadLetter():
                self._keep(effect)
            case StoreBatch() | ForgetBatch():
                self._note_in_the_journal(effect)
            case _:
                assert_never(effect)

    def _keep(self, effect: KeepDeadLetter) -> None:
        if self._dead_letters is not None:
            letter = DeadLetter(effect.batch, effect.reason, self._wall_clock())
            self._dead_letters.add(letter, effect.payload)

    def _note_in_the_journal(self, effect: StoreBatch | ForgetBatch) -> None:
        if self._journal is None:
            return
        match effect:
            case StoreBatch(batch):
                self._journal.store(batch)
            case ForgetBatch(arrival):
                self._journal.forget(arrival)
