"""The policies of all modules of a run, with the weights of one version."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import numpy as np

from headrace.actors.connection.newest_policy import PolicyUpdate
from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.protocol.errors import ConfigError
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import Manifest

_LOG = logging.getLogger("headrace.actor")


class ModulePolicies(Mapping[str, OnnxPolicy]):
    """Policies by module id; empty before the first `use`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._policies: dict[str, OnnxPolicy] = {}
        self._digest: str | None = None
        self.version: PolicyVersion | None = None

    def __getitem__(self, module: str) -> OnnxPolicy:
        return self._policies[module]

    def __iter__(self) -> Iterator[str]:
        return iter(self._policies)

    def __len__(self) -> int:
        return len(self._policies)

    def use(self, update: PolicyUpdate) -> bool:
        """Switches to an update; returns whether its graphs are new.

        Raises:
            ConfigError: the learner exports no graphs.
            RemoteProtocolError: the update is unusable; the previous one stays in use.
        """
        is_new = update.digest != self._digest
        if not is_new and update.version == self.version:
            return False
        policies = self._policies
        if is_new:
            policies = self._load(update.policy.manifest, update.policy.graphs)
        for module, policy in policies.items():
            policy.set_weights(update.weights.get(module, {}))
        self._policies, self._digest, self.version = policies, update.digest, update.version
        level = logging.INFO if is_new else logging.DEBUG  # a run has thousands of versions
        _LOG.log(level, "acting with policy version %s", update.version)
        return is_new

    def _load(self, manifest: Manifest, graphs: Mapping[str, bytes]) -> dict[str, OnnxPolicy]:
        if not all(graphs.values()):
            raise ConfigError(
                "this learner exports no policy graph; start actors with --policy rllib"
            )
        return {
            name: OnnxPolicy(graphs[name], module.graph, self._rng)
            for name, module in manifest.modules.items()
        }
