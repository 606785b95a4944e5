"""Connects a runner, or a driver, to the brokers that its config names."""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import socket
from pathlib import Path

import ray
import zmq

from headrace.learner.config import RunnerConfig, join_files
from headrace.learner.connection.broker_target import BrokerTarget
from headrace.learner.connection.link import BrokerLink
from headrace.learner.connection.probe import require_welcome
from headrace.learner.connection.session import LearnerIdentity
from headrace.protocol.broker_choice import split_addresses
from headrace.protocol.endpoints import DEFAULT_ADDRESS, BrokerAddress
from headrace.protocol.errors import ConfigError
from headrace.protocol.messages import Purpose
from headrace.protocol.zeromq.invitation_file import load_invitation

_RESUME_ATTEMPTS = 15


def require_brokers(config: RunnerConfig, *, resumes: bool) -> None:
    """Asks the brokers that a config names, those that run, whether they would serve the learner.

    Args:
        resumes: whether to wait for a former learner of the run, which may have been killed.

    Raises:
        ConfigError: an address or an invitation is invalid.
        RefusedError: one would not serve the learner.
    """
    targets = targets_of(config)
    if config.takeover:
        return
    identity = LearnerIdentity(secrets.token_hex(8), 0, config.run, socket.gethostname())
    attempts = _RESUME_ATTEMPTS if resumes else 1
    require_welcome(targets, identity, zmq.Context.instance(), attempts=attempts)


def open_link(
    config: RunnerConfig, log_dir: str, worker_index: int = 0, purpose: Purpose = "train"
) -> BrokerLink:
    """Connects a runner, or the driver of an Algorithm without a local one, to its brokers."""
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
    return BrokerLink(targets_of(config), identity, zmq.Context.instance())


def targets_of(config: RunnerConfig) -> tuple[BrokerTarget, ...]:
    """Returns the brokers of a config: those of its addresses, or of its invitations.

    Raises:
        ConfigError: addresses and invitations do not fit together, or one is invalid.
    """
    if config.address and config.addresses:
        raise ConfigError("give either address, of one broker, or addresses, of several")
    given = config.addresses or ((config.address,) if config.address else ())
    addresses = split_addresses(given) if given else ()
    invitations = [load_invitation(Path(file), "learner") for file in join_files(config.join)]
    if not addresses:
        addresses = tuple(one.address for one in invitations) or (DEFAULT_ADDRESS,)
    if len(invitations) not in (0, 1, len(addresses)):
        raise ConfigError(
            f"{len(addresses)} brokers and {len(invitations)} invitations: give one invitation for "
            "each broker, in the same order, or one for all if they share their keys"
        )
    keys = itertools.cycle(invitations or [None])
    targets = tuple(map(BrokerTarget, split_addresses(addresses), keys))
    for target in targets:
        BrokerAddress.parse_remote(target.address)
    return targets
