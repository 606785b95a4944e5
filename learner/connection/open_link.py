"""Connects a runner, or a driver, to the broker that its config names."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from pathlib import Path

import ray
import zmq

from headrace.learner.config import RunnerConfig
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.probe import require_welcome
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.endpoints import DEFAULT_ADDRESS
from headrace.protocol.invitation import Invitation
from headrace.protocol.messages import Purpose
from headrace.protocol.zeromq.invitation_file import load_invitation

_RESUME_ATTEMPTS = 15


def require_broker(config: RunnerConfig, *, resumes: bool) -> None:
    """Asks the broker that a config names, if it runs, whether it would serve the learner.

    Args:
        resumes: whether to wait for a former learner of the run, which may have been killed.

    Raises:
        ConfigError: the address or the invitation is invalid.
        RefusedError: it would not serve the learner.
    """
    if config.takeover:
        return
    address, invitation = _address_of(config)
    identity = LearnerIdentity(secrets.token_hex(8), 0, config.run, socket.gethostname())
    attempts = _RESUME_ATTEMPTS if resumes else 1
    require_welcome(address, identity, zmq.Context.instance(), invitation, attempts=attempts)


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
    address, invitation = _address_of(config)
    return BrokerLink(address, identity, zmq.Context.instance(), invitation=invitation)


def _address_of(config: RunnerConfig) -> tuple[str, Invitation | None]:
    invitation = load_invitation(Path(config.join), "learner") if config.join else None
    address = config.address or (invitation.address if invitation else DEFAULT_ADDRESS)
    return address, invitation
