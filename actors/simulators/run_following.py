"""Follows the broker's runs: which environment the present one names, and whether it has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import PolicyVersion

_LOG = logging.getLogger("headrace.actor")
_LOOK_FOR_STOP_S = 0.2


class PolicySource(Protocol):
    """The part of a client that tells runs apart."""

    @property
    def newest_version(self) -> PolicyVersion | None:
        """The newest policy version that has arrived."""
        ...

    @property
    def learner_is_connected(self) -> bool | None:
        """Whether the broker has a learner; None if it has not said so yet."""
        ...

    def policy_update(self, timeout_s: float | None = None) -> PolicyUpdate | None:
        """Returns the newest policy; waits for the first one, and returns None on timeout."""
        ...


@dataclass(frozen=True)
class NamedEnvironment:
    """An environment as a run names it, with its keyword arguments."""

    env_id: str
    config: Mapping[str, Any] = field(default_factory=dict)


class RunFollower:
    """Keeps an actor with the broker's present run; a run has its own epoch."""

    def __init__(self, client: PolicySource, stop: threading.Event) -> None:
        self._client = client
        self._stop = stop
        self._epoch: int | None = None
        self._followed: NamedEnvironment | None = None

    def wait(self) -> NamedEnvironment | None:
        """Waits for a run with a learner, and returns its environment; None when stopping.

        Raises:
            ConfigError: the run names no environment, or has several agents.
        """
        update = self._wait_for_run()
        if update is None:
            return None
        self._epoch, self._followed = update.version.epoch, _environment_of(update)
        return self._followed

    def has_changed(self) -> bool:
        """Returns whether another run has begun, with another environment; cheap."""
        version = self._client.newest_version
        if version is None or self._epoch in (None, version.epoch):
            return False
        update = self._client.policy_update(0.0)
        if update is None:
            return False
        if _named(update) == self._followed:
            self._epoch = update.version.epoch
            return False
        return True

    def run(self, collect: Callable[[], None]) -> None:
        """Calls `collect` again and again, until it returns without an error.

        A ConfigError is raised, unless it is about the policy of a run whose learner has gone: then
        the next run is waited for.
        """
        while True:
            try:
                collect()
            except ConfigError as error:
                version = self._client.newest_version
                if version is None or self._client.learner_is_connected is not False:
                    raise
                _LOG.warning(
                    "waiting for the next learner: the policy of the last one, %s, cannot be used "
                    "here: %s",
                    version,
                    error,
                )
                if not self._wait_beyond(version):
                    return
            else:
                return

    def _wait_for_run(self) -> PolicyUpdate | None:
        while not self._stop.is_set():
            update = self._client.policy_update(_LOOK_FOR_STOP_S)
            if update is None:
                continue
            if self._client.learner_is_connected is not False:
                return update
            self._stop.wait(_LOOK_FOR_STOP_S)
        return None

    def _wait_beyond(self, version: PolicyVersion) -> bool:
        """Waits for a later run; returns False when stopping."""
        while not self._stop.wait(_LOOK_FOR_STOP_S):
            newest = self._client.newest_version
            if newest is not None and newest.epoch != version.epoch:
                return True
        return False


def _named(update: PolicyUpdate) -> NamedEnvironment | None:
    manifest = update.policy.manifest
    if manifest.environment is None or manifest.multi_agent:
        return None
    return NamedEnvironment(manifest.environment, manifest.environment_arguments)


def _environment_of(update: PolicyUpdate) -> NamedEnvironment:
    if update.policy.manifest.multi_agent:
        raise ConfigError(
            "this run has several agents; name the function that makes their environment: "
            "--multi-agent module:function"
        )
    named = _named(update)
    if named is None:
        raise ConfigError("this run's learner names no environment; choose one with --env")
    return named
