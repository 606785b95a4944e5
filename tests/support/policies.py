"""RLlib modules and their exported graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.learner.export.connectors import ModuleSpaces, build_pipelines, module_spaces
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.export.module_export import export_module
from headrace.learner.runner.module_weights import ModuleWeights


class Exported:
    """A default module for two spaces, its graph, and a policy that runs it."""

    def __init__(
        self,
        observation: gym.Space[Any],
        action: gym.Space[Any],
        *,
        algorithm: AlgorithmConfig | None = None,
        connector: Any = None,
        model: Mapping[str, Any] | None = None,
        module_class: type[TorchRLModule] | None = None,
        inference_only: bool = True,
        **environment: Any,
    ) -> None:
        config = (algorithm or PPOConfig()).environment(
            observation_space=observation, action_space=action, **environment
        )
        config.env_runners(env_to_module_connector=connector)
        if module_class is not None:
            config.rl_module(rl_module_spec=RLModuleSpec(module_class=module_class))
        if model is not None:
            config.rl_module(model_config=dict(model))
        pipelines = build_pipelines(config, observation, action)
        self.spaces: ModuleSpaces = module_spaces(pipelines, observation, action)
        spec = config.get_rl_module_spec(
            spaces=self.spaces.by_rllib_key, inference_only=inference_only
        )
        self.module = cast("TorchRLModule", spec.build())
        self.exported: ExportedModule = export_module(self.module, self.spaces, config)
        graph = self.exported.manifest.graph
        self.policy = OnnxPolicy(self.exported.graph, graph, np.random.default_rng(0))
        self.policy.set_weights(self.weights)

    @property
    def weights(self) -> dict[str, Any]:
        graph = self.exported.manifest.graph
        beside = {
            spec.name: np.ones(spec.shape, spec.dtype)
            for spec in graph.weights
            if spec.name not in self.exported.parameters
        }
        return {
            **beside,
            **self.exported.initial_state,
            **ModuleWeights(self.module).arrays(self.exported.parameters),
        }


_shared: list[tuple[gym.Space[Any], gym.Space[Any], Exported]] = []


def shared_export(observation: gym.Space[Any], action: gym.Space[Any]) -> Exported:
    """Returns one `Exported` for all tests, since an export takes seconds; do not train it."""
    for seen, taken, made in _shared:
        if (seen, taken) == (observation, action):
            return made
    made = Exported(observation, action)
    _shared.append((observation, action, made))
    return made
