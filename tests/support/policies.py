"""RLlib modules and their exported graphs."""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.torch import TorchRLModule

from headrace.actors.policy import OnnxPolicy
from headrace.learner.connectors import ModuleSpaces, module_spaces
from headrace.learner.export import ExportedModule, actor_weights, export_module


class Exported:
    """A default PPO module for two spaces, its graph, and a policy that runs it."""

    def __init__(
        self,
        observation: gym.Space[Any],
        action: gym.Space[Any],
        *,
        connector: Any = None,
        **environment: Any,
    ) -> None:
        config = PPOConfig().environment(
            observation_space=observation, action_space=action, **environment
        )
        config.env_runners(env_to_module_connector=connector)
        self.spaces: ModuleSpaces = module_spaces(config, observation, action)
        spec = config.get_rl_module_spec(spaces=self.spaces.by_rllib_key, inference_only=True)
        self.module = cast("TorchRLModule", spec.build())
        self.exported: ExportedModule = export_module(self.module, self.spaces, config)
        graph = self.exported.manifest.graph
        self.policy = OnnxPolicy(self.exported.graph, graph, np.random.default_rng(0))
        self.policy.set_weights(self.weights)

    @property
    def weights(self) -> dict[str, Any]:
        names = [spec.name for spec in self.exported.manifest.graph.weights]
        return actor_weights(self.module, names)
