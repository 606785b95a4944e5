"""A scripted learner process: a real link to the broker, and training that only keeps a diary."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import msgspec
import zmq
from support.examples import RUN, make_manifest, make_policy_frame, make_weights_frame

from chaos.actor import index_of
from chaos.batches import read_mark
from chaos.diary import Diary
from headrace.deploy.process import on_stop_signal
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.broker_choice import split_addresses
from headrace.protocol.flow_control import OffPolicyFlow
from headrace.protocol.manifest import Manifest
from headrace.protocol.zeromq.invitation_file import load_invitation


class LearnerPlan(msgspec.Struct, frozen=True):
    """The parameters of a learner's process; its one command line argument, as JSON.

    Attributes:
        worker_index: RLlib's; a new process with the same index replaces the old one.
        life: the number of the process for this worker, from 0.
        began_at_s: the origin of version numbers on the monotonic clock, the same for all learners.
        join: the invitation file, if the broker has keys.
        version_s: time from one version of the weights to the next.
        take_env_steps: env steps that one `take` asks for.
        train_s: the time of training on them.
    """

    address: str
    diary: str
    worker_index: int
    life: int
    began_at_s: float
    join: str = ""
    version_s: float = 0.5
    take_env_steps: int = 200
    train_s: float = 0.0


def make_replaying_manifest(take_env_steps: int) -> Manifest:
    """Returns a manifest under which no batch goes stale, so that every missing batch is lost."""
    return msgspec.structs.replace(
        make_manifest(), flow=OffPolicyFlow(sample_env_steps=take_env_steps)
    )


def offered(number: int, manifest: Manifest) -> OfferedWeights:
    """Returns version `number` of the weights."""
    frame, digest = make_policy_frame(manifest)
    return OfferedWeights(
        number=number,
        weights_digest=f"{number:08x}",
        policy_digest=digest,
        policy_frame=frame,
        weights_frame=make_weights_frame(float(number)),
    )


def train(plan: LearnerPlan, diary: Diary, link: BrokerLink, stopping: threading.Event) -> None:
    """Takes batches and confirms them before the next take, as `BrokerEnvRunner.sample` does."""
    manifest = make_replaying_manifest(plan.take_env_steps)
    take = 0
    while not stopping.is_set():
        number = int((time.monotonic() - plan.began_at_s) / plan.version_s) + 1
        link.offer(offered(number, manifest))
        batches = link.take(plan.take_env_steps, 0.5)
        take += bool(batches)
        for batch in batches:
            mark, lease = read_mark(batch.payload), batch.lease
            assert (mark.actor, mark.number) == (index_of(lease.actor), lease.seq)
            where = (plan.worker_index, plan.life, take)
            diary.write("handed", *where, mark.actor, mark.life, mark.number, lease.attempt)
        stopping.wait(plan.train_s)
        if batches:
            link.confirm(batches[-1])


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=LearnerPlan)
    stopping = threading.Event()
    on_stop_signal(stopping.set)
    identity = LearnerIdentity(
        learner_run="chaos", worker_index=plan.worker_index, run=RUN, host="chaos"
    )
    invitation = load_invitation(Path(plan.join), "learner") if plan.join else None
    targets = [BrokerTarget(address, invitation) for address in split_addresses(plan.address)]
    link = BrokerLink(targets, identity, zmq.Context())
    train(plan, Diary(Path(plan.diary)), link, stopping)
    link.close()


if __name__ == "__main__":
    main()
