"""What the router wants done: the only way in which it acts on the world."""

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
    """Tell the operator."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class KeepDeadLetter:
    """Keep a batch that was given up, for a person."""

    batch: Trajectories
    payload: Frame
    reason: str


@dataclass(frozen=True)
class StoreBatch:
    """Put a batch on the disk; then tell `Router.on_stored`."""

    batch: QueuedBatch


@dataclass(frozen=True)
class ForgetBatch:
    """A batch has ended: the disk need not keep it."""

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
