"""The router's effects: the only way in which it acts on the outside."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.broker.state.batch import QueuedBatch
from headrace.protocol.messages import ControlMessage, ToLearner, Trajectories, WeightsMessage
from headrace.protocol.messages.headers import Frame


@dataclass(frozen=True)
class PublishControl:
    """Publish on the control endpoint."""

    topic: bytes
    message: ControlMessage


@dataclass(frozen=True)
class PublishWeights:
    """Publish on the weights endpoint."""

    topic: bytes
    message: WeightsMessage
    payloads: tuple[Frame, ...]


@dataclass(frozen=True)
class SendToLearner:
    """Send to one learner's socket."""

    routing_id: bytes
    message: ToLearner
    payloads: tuple[Frame, ...] = ()


@dataclass(frozen=True)
class Note:
    """Log a line for the operator."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class KeepDeadLetter:
    """Keep a batch that was given up, for an operator to inspect."""

    batch: Trajectories
    payload: Frame
    reason: str


@dataclass(frozen=True)
class StoreBatch:
    """Write a batch to disk; then call `Router.on_stored`."""

    batch: QueuedBatch


@dataclass(frozen=True)
class ForgetBatch:
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
