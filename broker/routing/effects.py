"""The router's effects: the only way in which it acts on the outside."""

from __future__ import annotations

import msgspec

from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.messages import ControlMessage, ToLearner, Trajectories, WeightsMessage
from headrace.protocol.messages.headers import Frame


class PublishControl(msgspec.Struct, frozen=True):
    """Publish on the control endpoint."""

    topic: bytes
    message: ControlMessage


class PublishWeights(msgspec.Struct, frozen=True):
    """Publish on the weights endpoint."""

    topic: bytes
    message: WeightsMessage
    payloads: tuple[Frame, ...]


class SendToLearner(msgspec.Struct, frozen=True):
    """Send to one learner's socket."""

    routing_id: bytes
    message: ToLearner
    payloads: tuple[Frame, ...] = ()


class Note(msgspec.Struct, frozen=True):
    """Log a line for the operator."""

    text: str
    is_warning: bool = False


class KeepDeadLetter(msgspec.Struct, frozen=True):
    """Keep a batch that was given up, for an operator to inspect."""

    batch: Trajectories
    payload: Frame
    reason: str


class StoreBatch(msgspec.Struct, frozen=True):
    """Write a batch to disk; then call `Router.on_stored`."""

    batch: QueuedBatch


class ForgetBatch(msgspec.Struct, frozen=True):
    """A batch has ended and need not be kept on disk."""

    arrival: int


Effect = (
    PublishControl
    | PublishWeights
    | SendToLearner
    | Note
    | KeepDeadLetter
    | StoreBatch
    | ForgetBatch
)
