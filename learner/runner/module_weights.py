"""The newest weights of a module, ready to publish, and loaded into the module on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from headrace.protocol.arrays import Array


class ModuleWeights:
    """Weights that RLlib set, to be sent to actors; the module itself is seldom used.

    Loading weights takes torch several times as long as publishing them, and RLlib often replaces
    them before they are used: one iteration of DQN sets 990.
    """

    def __init__(self, module: TorchRLModule) -> None:
        self.architecture = module
        """The module with possibly old weights, for uses that do not depend on them."""
        self._unloaded: dict[str, Array] | None = None

    @property
    def module(self) -> TorchRLModule:
        """The module, with the newest weights."""
        self.load()
        return self.architecture

    def load(self) -> None:
        """Loads the newest weights into the module."""
        if self._unloaded is not None:
            self.architecture.set_state(self._unloaded)
            self._unloaded = None

    def set(self, state: Mapping[str, Any]) -> None:
        """Stores a copy: RLlib may pass views of parameters that are being trained."""
        self._unloaded = {name: _copy(value) for name, value in state.items()}

    def arrays(self, names: Sequence[str]) -> dict[str, Array]:
        """Returns the named parameters, in the order of `names`."""
        newest = self._unloaded
        if newest is not None and all(name in newest for name in names):
            return {name: newest[name] for name in names}
        tensors = self.module.state_dict()
        return {name: _as_array(tensors[name]) for name in names}


def _as_array(value: Tensor | Array) -> Array:
    array: Array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return np.ascontiguousarray(array)


def _copy(value: Tensor | Array) -> Array:
    return np.array(_as_array(value))
