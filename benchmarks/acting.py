"""One call of a policy graph, its weights fed or built in, against the RLModule's."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.torch import TorchRLModule

from benchmarks.pairs import Row, compare
from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.learner.export.connectors import build_pipelines, module_spaces
from headrace.learner.export.exported_module import ExportedModule
from headrace.learner.export.module_export import export_module
from headrace.learner.runner.module_weights import ModuleWeights
from headrace.protocol.trajectory import OBSERVATIONS

_ACTION: gym.spaces.Discrete[Any] = gym.spaces.Discrete(4)
_NETWORKS = (
    ("MLP 2 × 256", gym.spaces.Box(-1.0, 1.0, (4,), np.float32)),
    ("CNN 84 × 84 × 4", gym.spaces.Box(0.0, 1.0, (84, 84, 4), np.float32)),
)
_ROWS = (1, 8)
_MEASURED_S = 0.3


def rows() -> list[Row]:
    """Measures small and large networks for one and eight observations."""
    torch.set_num_threads(1)  # an actor has one core, and ONNX Runtime gets one thread too
    measured: list[Row] = []
    for name, space in _NETWORKS:
        module, exported = export_policy(space)
        for count in _ROWS:
            observations = space.sample()[None].repeat(count, axis=0)
            theirs = _forward(module, observations)
            for bakes in (False, True):
                how = "built in" if bakes else "fed"
                ours = _act(module, exported, observations, bakes=bakes)
                measured.append(compare(f"{name}, {count} rows, weights {how}", "µs", ours, theirs))
    return measured


def export_policy(space: gym.spaces.Box) -> tuple[TorchRLModule, ExportedModule]:
    """Returns PPO's default module for a space and four actions, and its graph."""
    config = PPOConfig().environment(observation_space=space, action_space=_ACTION)
    spaces = module_spaces(build_pipelines(config, space, _ACTION), space, _ACTION)
    spec = config.get_rl_module_spec(spaces=spaces.by_rllib_key, inference_only=True)
    module = cast("TorchRLModule", spec.build())
    return module, export_module(module, spaces, config)


def _act(
    module: TorchRLModule, exported: ExportedModule, observations: Any, *, bakes: bool
) -> Callable[[], float]:
    spec = exported.manifest.graph
    policy = OnnxPolicy(exported.graph, spec, np.random.default_rng(0), bakes=bakes)
    policy.set_weights(ModuleWeights(module).arrays(exported.parameters))
    return lambda: _call_us(lambda: policy.act({OBSERVATIONS: observations}))


def _forward(module: TorchRLModule, observations: Any) -> Callable[[], float]:
    """Returns the time of the module's part of a step in RLlib's runner, without connectors."""
    distribution = cast("Any", module).get_exploration_action_dist_cls()

    def forward() -> None:
        with torch.no_grad():
            batch = {Columns.OBS: torch.as_tensor(observations)}
            logits = module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS]
            sampled = distribution.from_logits(logits)
            actions = sampled.sample()
            sampled.logp(actions).numpy()

    return lambda: _call_us(forward)


def _call_us(call: Callable[[], Any]) -> float:
    count, started_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - started_s) < _MEASURED_S:
        call()
        count += 1
    return elapsed_s / count * 1e6
