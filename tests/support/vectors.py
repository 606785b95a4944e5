"""The test vectors of the wire: at least one valid example of every message, and its bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headrace.protocol.errors import RejectCode
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import (
    Alive,
    Assignment,
    Beacon,
    Credit,
    Delivery,
    EvaluationRequest,
    EvaluationTask,
    FleetReport,
    Goodbye,
    HeldBatch,
    Hello,
    LearnerGoodbye,
    LearnerHello,
    LearnerProgress,
    Lease,
    Ledger,
    Mark,
    Message,
    Offer,
    Options,
    Publish,
    Pull,
    Refusal,
    Reject,
    Snapshot,
    Totals,
    Trajectories,
    Want,
    Weights,
    Welcome,
)
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.messages.inference import (
    Act,
    Actions,
    Denial,
    Describe,
    Description,
    End,
    Ended,
)
from headrace.protocol.payload import encode_payload
from support.examples import make_payload, make_policy_frame, make_weights_frame


@dataclass(frozen=True)
class Vector:
    """A message with the frames that encode it."""

    message: Message
    payloads: tuple[bytes, ...] = ()

    @property
    def frames(self) -> Sequence[bytes]:
        return (encode_header(self.message), *self.payloads)


def all_vectors() -> dict[str, Vector]:
    """Returns every kind of message by its name, with optional fields filled.

    Later additions to frozen vectors have their own vectors, named `kind.what`.
    """
    version, digest = PolicyVersion(2, 17), make_policy_frame()[1]
    policy, weights = make_policy_frame()[0], make_weights_frame()
    ledger = Ledger(produced=10, consumed=4, stale=1, rejected=1, dropped=1, held=3)
    offer: dict[str, Any] = {
        "session": 9,
        "number": 17,
        "weights_digest": "0" * 32,
        "policy_digest": digest,
    }
    who: dict[str, Any] = {"actor": "actor-1", "incarnation": 7}
    presence: dict[str, Any] = {
        "version": version,
        "policy_digest": digest,
        "last_seq": 5,
        "acknowledged": 3,
        "totals": Totals(2, 1, 0, 0),
        "env_steps": 500,
        "unrecorded_env_steps": 20,
    }
    published: dict[str, Any] = {"run": "run-1", "version": version, "policy_digest": digest}
    vectors = [
        Vector(Hello(**who, **presence, client="headrace cpp", host="sim-3")),
        Vector(Alive(**who, **presence)),
        Vector(Goodbye(**who, last_seq=5)),
        Vector(
            Trajectories(
                **who,
                seq=5,
                run="run-1",
                version=version,
                env_steps=5,
                task="task-1",
                sent_before=True,
            ),
            (make_payload(),),
        ),
        Vector(
            Delivery(
                broker=3,
                incarnation=7,
                accepted=5,
                acknowledged=3,
                totals=Totals(2, 1, 0, 0),
                credit=Credit(8, 250, 0.125, version),
                gap=True,
            )
        ),
        Vector(Reject(incarnation=7, code=RejectCode.INVALID_BATCH, reason="NaN reward", seq=4)),
        Vector(Beacon(broker=3, run="run-1", version=version)),
        Vector(Snapshot(**published), (policy, weights)),
        Vector(Weights(**published), (weights,)),
        Vector(
            LearnerHello(
                session=9,
                learner_run="0123456789abcdef",
                worker_index=1,
                run="run-1",
                takeover=True,
                newest_epoch=2,
                former=8,
                marks=(Mark("actor-1", 7, 5, (7, 8)),),
                held=(HeldBatch(0, 9),),
                sessions=2,
                host="gpu-1",
            )
        ),
        Vector(
            Pull(
                session=9,
                lease_up_to_steps=4000,
                confirmed=12,
                progress=LearnerProgress(64000, 16, 195.5),
            )
        ),
        Vector(Offer(**offer)),
        Vector(Publish(**offer), (policy, weights)),
        Vector(LearnerGoodbye(session=9)),
        Vector(Welcome(broker=3, session=9, epoch=2)),
        Vector(Refusal(session=9, code=RejectCode.LEARNER_EXISTS, reason="one trains already")),
        Vector(Want(session=9, number=17, weights=True, policy=False)),
        Vector(
            Lease(
                **who,
                session=9,
                number=13,
                ended=3,
                seq=5,
                version=version,
                env_steps=5,
                attempt=2,
                policy_lag=1,
                task="task-1",
            ),
            (make_payload(),),
        ),
        Vector(FleetReport(session=9, queue_env_steps=4000, actors=2, ledger=ledger)),
        *_inference_vectors(version),
    ]
    by_kind = {str(vector.message.__struct_config__.tag): vector for vector in vectors}
    return by_kind | _assigned_vectors(by_kind) | _later_vectors(by_kind)


def _inference_vectors(version: PolicyVersion) -> list[Vector]:
    seen = np.array([0.5, -0.25], np.float32)
    turns = {
        "hunter": {"observation": seen, "reward": 1.5},
        "prey": {"observation": [1, 2.5], "reward": -1.0, "terminated": True},
    }
    last = {"hunter": {"observation": {"camera": seen}, "reward": 0.5}}
    name: dict[str, Any] = {"episode": "9f3c", "turn": 3}
    return [
        Vector(Describe()),
        Vector(Description(run="run-1", version=version, multi_agent=True)),
        Vector(Act(**name, training_enabled=False), (encode_payload(turns),)),
        Vector(Actions(**name), (encode_payload({"hunter": [0.125, -1.0]}),)),
        Vector(End(**name, truncated=True), (encode_payload(last),)),
        Vector(Ended(**name)),
        Vector(Denial(code=RejectCode.INVALID_TURN, reason="turn 2 comes next", **name)),
    ]


def _assigned_vectors(vectors: Mapping[str, Vector]) -> dict[str, Vector]:
    options: Options = {
        "level": 7,
        "wind": -0.5,
        "is_night": False,
        "roads": ["a", None],
        "far": 2**40,
    }
    assignment = Assignment(4, "level-7", options, seed=2**53 - 1)
    known: dict[str, dict[str, Any]] = {
        "pull": {"assignment": assignment},
        "delivery": {"assignment": assignment},
        "description": {"infos": ("speed",), "assignment": assignment},
        "ended": {"assignment": assignment},
        "act": {"task": "level-7"},
    }
    return {f"{kind}.assigned": _with(vectors[kind], **fields) for kind, fields in known.items()}


def _later_vectors(vectors: Mapping[str, Vector]) -> dict[str, Vector]:
    limits = {"max_payload_bytes": 2**28}
    part: dict[str, Any] = {"purpose": "evaluate", "more": True}
    evaluation: dict[str, Any] = {
        "task": "9.1",
        "episodes": 3,
        "min_version": PolicyVersion(2, 17),
        "max_env_steps": 1000,
    }
    return {
        "alive.broken": _with(vectors["alive"], broken_episodes=3),
        "beacon.learner": _with(vectors["beacon"], learner=True, **limits),
        "beacon.presence": _with(vectors["beacon"], presence_s=2.5),
        "delivery.evaluation": _with(vectors["delivery"], task=EvaluationTask(**evaluation)),
        "learner_hello.probe": _with(vectors["learner_hello"], probe=True),
        "lease.part": _with(vectors["lease"], **part),
        "pull.evaluation": _with(vectors["pull"], evaluation=EvaluationRequest(**evaluation)),
        "pull.share": _with(vectors["pull"], share=0.25),
        "trajectories.part": _with(vectors["trajectories"], **part),
        "welcome.limits": _with(vectors["welcome"], **limits),
    }


def _with(vector: Vector, **fields: Any) -> Vector:
    return Vector(msgspec.structs.replace(vector.message, **fields), vector.payloads)


def vector_document(vector: Vector) -> dict[str, Any]:
    """Returns a vector in file form: the header in plain text, all frames in hexadecimal."""
    return {
        "header": json.loads(msgspec.json.encode(vector.message)),
        "frames": [frame.hex() for frame in vector.frames],
    }


def write_vectors(folder: Path) -> None:
    """Writes a JSON file for each vector without one; existing files are frozen."""
    folder.mkdir(exist_ok=True)
    for name, vector in all_vectors().items():
        file = folder / f"{name}.json"
        if not file.exists():
            text = json.dumps(vector_document(vector), indent=2, sort_keys=True)
            file.write_text(text + "\n")


if __name__ == "__main__":
    write_vectors(Path(__file__).parents[2] / "protocol" / "vectors")
