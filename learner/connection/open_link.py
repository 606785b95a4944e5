"""Connects a runner, or a driver, to the broker that its config names."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import ray
import zmq

from headrace.learner.config import RunnerConfig
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.endpoints import DEFAULT_ADDRESS
from headrace.protocol.messages import Purpose
from headrace.protocol.zeromq.invitation_file import load_invitation


def open_link(
    config: RunnerConfig, log_dir: str, worker_index: int = 0, purpose: Purpose = "train"
) -> BrokerLink:
    """Connects a runner, or the driver of an Algorithm without a local one, to the broker."""
    job = ray.get_runtime_context().get_job_id() if ray.is_initialized() else str(os.getpid())
    identity = LearnerIdentity(
        # The same for all runners of one Algorithm and their restarts, and for no others.
        learner_run=hashlib.sha256(f"{job} {log_dir}".encode()).hexdigest()[:32],
        worker_index=worker_index,
        run=config.run,
        host=socket.gethostname(),
        takeover=config.takeover,
        newest_epoch=config.newest_epoch,
        purpose=purpose,
    )
    invitation = load_invitation(Path(config.join), "learner") if config.join else None
    address = config.address or (invitation.address if invitation else DEFAULT_ADDRESS)
    return BrokerLink(address, identity, zmq.Context.instance(), invitation=invitation)
