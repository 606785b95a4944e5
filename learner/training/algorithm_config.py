"""Builds an RLlib AlgorithmConfig from the sections of a run file."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env

from headrace.learner.config import CONFIG_KEY, RunnerConfig
from headrace.learner.runner.env_runner import BrokerEnvRunner
from headrace.learner.runner.simulator_spaces import (
    FunctionEnvironment,
    agent_spaces,
    close_quietly,
)
from headrace.learner.training.connector_factories import (
    EnvToModule,
    LearnerStacking,
    require_connectors,
)
from headrace.learner.training.importing import load_function
from headrace.learner.training.module_mapping import ModuleMapping
from headrace.learner.training.run_sections import DictSpace, EnvironmentSection, LearnerRun
from headrace.learner.training.settings_check import refused_by_rllib, require_kinds
from headrace.learner.training.space_sections import space_of
from headrace.protocol.environment_ids import is_function
from headrace.protocol.errors import ConfigError
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.simulator_errors import making
from headrace.protocol.spelling import nearest

_ITERATION_S = 1
"""The shortest time for which RLlib's asynchronous algorithms train before they report."""
_SHARED_MODULE = "shared"
_SYNONYMS = {
    "learning_rate": "lr",
    "batch_size": "train_batch_size_per_learner",
    "train_batch_size": "train_batch_size_per_learner",
    "n_steps": "train_batch_size_per_learner",
    "sgd_minibatch_size": "minibatch_size",
    "n_epochs": "num_epochs",
    "num_sgd_iter": "num_epochs",
    "epochs": "num_epochs",
    "discount": "gamma",
    "gae_lambda": "lambda_",
    "lambda": "lambda_",
    "clip_range": "clip_param",
    "clip_coef": "clip_param",
    "ent_coef": "entropy_coeff",
    "entropy_coef": "entropy_coeff",
    "vf_coef": "vf_loss_coeff",
    "max_grad_norm": "grad_clip",
    "hidden": "fcnet_hiddens",
    "hiddens": "fcnet_hiddens",
    "hidden_sizes": "fcnet_hiddens",
    "net_arch": "fcnet_hiddens",
    "activation": "fcnet_activation",
    "num_workers": "num_env_runners",
    "num_rollout_workers": "num_env_runners",
    "buffer_size": "replay_buffer_config",
}
"""RLlib's names by those of its old API stack, of Stable-Baselines3 and of CleanRL."""
_ELSEWHERE = {"observation_filter": "write it under [learner]"}
"""Keys that RLlib's new API stack accepts and ignores."""


def build_config(run: LearnerRun, *, newest_epoch: int = 0) -> AlgorithmConfig:
    """Returns the config of a run's algorithm, with BrokerEnvRunner as its runner.

    Raises:
        ConfigError: RLlib does not know the algorithm or a key; the message names the nearest one.
    """
    section = run.learner
    config = _config_class(section.algorithm)()
    _set_environment(config, run, newest_epoch)
    # RLlib's default may be several, which a fleet of actors makes unnecessary.
    config.env_runners(env_runner_cls=BrokerEnvRunner, num_env_runners=0)
    _apply(config.env_runners, section.env_runners, "env_runners")
    require_connectors(section.connectors)
    connectors = EnvToModule(section, config.is_multi_agent)
    if connectors():
        config.env_runners(env_to_module_connector=connectors)
    if section.frame_stack > 1:
        config.learners(learner_connector=LearnerStacking(section.frame_stack))
    if section.module is not None:
        spec = RLModuleSpec(
            module_class=_module_class(section.module), model_config=dict(section.model)
        )
        config.rl_module(rl_module_spec=spec)
    elif section.model:
        config.rl_module(model_config=_model_config(section.model))
    _apply(config.training, section.training, "training")
    _apply(config.learners, section.learners, "learners")
    config.reporting(min_time_s_per_iteration=_ITERATION_S)
    _apply(config.reporting, section.reporting, "reporting")
    _apply(config.evaluation, section.evaluation, "evaluation")
    _apply(config.fault_tolerance, section.fault_tolerance, "fault_tolerance")
    if section.callbacks is not None:
        config.callbacks(_callbacks_class(section.callbacks))
    config.debugging(seed=run.run.seed, log_level="ERROR")
    return config


def _callbacks_class(source: str) -> type[RLlibCallback]:
    found: object = load_function(source, "[learner] callbacks")
    if not (isinstance(found, type) and issubclass(found, RLlibCallback)):
        raise ConfigError(f"[learner] callbacks {source!r} is not a subclass of RLlibCallback")
    return found


def _module_class(source: str) -> type[TorchRLModule]:
    found: object = load_function(source, "[learner] module")
    if not (isinstance(found, type) and issubclass(found, TorchRLModule)):
        raise ConfigError(f"[learner] module {source!r} is not a subclass of TorchRLModule")
    return found


def _config_class(algorithm: str) -> Callable[[], AlgorithmConfig]:
    # Imported by name: RLlib's own registry loads every algorithm with all its dependencies.
    try:
        module = importlib.import_module(f"ray.rllib.algorithms.{algorithm.lower()}")
        return cast("Callable[[], AlgorithmConfig]", getattr(module, f"{algorithm}Config"))
    except (ImportError, AttributeError) as error:
        known = ("PPO", "APPO", "IMPALA", "DQN", "SAC")
        raise ConfigError(
            f"[learner] algorithm = {algorithm!r} is not in RLlib; {nearest(algorithm, known)}"
        ) from error


def _set_environment(config: AlgorithmConfig, run: LearnerRun, newest_epoch: int) -> None:
    environment = run.environment
    _require_one_source(environment)
    spaces = (environment.observation_space, environment.action_space)
    is_by_agent = bool(run.learner.modules) and all(isinstance(s, DictSpace) for s in spaces)
    if run.learner.modules and environment.multi_agent is None and not is_by_agent:
        raise ConfigError(
            "[learner] modules is for several agents: name their environment with [environment] "
            "multi_agent, or give observation_space and action_space of type dict, by agent id"
        )
    runner = RunnerConfig(
        address=run.addresses[0] if len(run.addresses) == 1 else "",
        addresses=run.addresses if len(run.addresses) > 1 else (),
        join=run.join[0] if len(run.join) == 1 else run.join,
        run=run.run.name,
        pull_timeout_s=run.learner.pull_timeout_s,
        publish_interval_s=run.learner.publish_interval_s,
        max_policy_lag=run.learner.max_policy_lag,
        policy=run.learner.policy,
        infos=run.learner.infos,
        compression=run.learner.compression,
        takeover=run.takeover,
        newest_epoch=newest_epoch,
    )
    env_config = {**environment.config, CONFIG_KEY: msgspec.to_builtins(runner)}
    if environment.multi_agent is not None:
        _set_agents(config, run, env_config)
        return
    if is_by_agent and isinstance(environment.observation_space, DictSpace):
        _set_mapping(config, run, list(environment.observation_space.spaces))
    given = (environment.observation_space, environment.action_space)
    if environment.id is None and None in given:
        raise ConfigError(
            "[environment] names neither an id nor both observation_space and action_space"
        )
    if environment.id is not None and is_function(environment.id):
        register_env(environment.id, FunctionEnvironment(environment.id))
    config.environment(environment.id, env_config=env_config)
    if environment.observation_space is not None:
        config.environment(observation_space=space_of(environment.observation_space))
    if environment.action_space is not None:
        config.environment(action_space=space_of(environment.action_space))


def _require_one_source(environment: EnvironmentSection) -> None:
    sources = {
        "id": (environment.id,),
        "multi_agent": (environment.multi_agent,),
        "spaces": (environment.observation_space, environment.action_space),
    }
    named = [name for name, values in sources.items() if any(v is not None for v in values)]
    if len(named) > 1:
        raise ConfigError(
            f"[environment] names both {named[0]} and {named[1]}; leave one of them out"
        )


def _set_agents(config: AlgorithmConfig, run: LearnerRun, env_config: dict[str, Any]) -> None:
    """Takes the agents and their spaces from the environment; actors make their own."""
    environment = run.environment
    source = str(environment.multi_agent)
    make = load_function(source, "[environment] multi_agent")
    with making(source):
        env = make(**environment.config)
    observation_space, action_space = agent_spaces(env)
    close_quietly(env)
    config.environment(
        None,
        observation_space=observation_space,
        action_space=action_space,
        env_config=env_config,
    )
    _set_mapping(config, run, list(observation_space.spaces))


def _set_mapping(config: AlgorithmConfig, run: LearnerRun, agents: Sequence[Any]) -> None:
    modules = run.learner.modules or {_SHARED_MODULE: ("*",)}
    if modules.keys() == {DEFAULT_MODULE}:
        raise ConfigError(
            f"[learner.modules] {DEFAULT_MODULE} alone is how RLlib names the module of a single "
            "agent; choose another id"
        )
    mapping = ModuleMapping(modules)
    used = {mapping(agent) for agent in agents}
    if idle := sorted(modules.keys() - used):
        raise ConfigError(
            f"[learner.modules] {idle[0]} has no agent: none of {', '.join(map(str, agents))} "
            "matches its patterns, or an earlier module's patterns match it, too"
        )
    with refused_by_rllib("[learner.modules]"):
        config.multi_agent(policies=set(modules), policy_mapping_fn=mapping)


def _apply(method: Callable[..., Any], settings: Mapping[str, Any], section: str) -> None:
    known = _keywords(method)
    for key in settings:
        if key in _ELSEWHERE:
            raise ConfigError(f"{key!r} has no effect in [learner.{section}]: {_ELSEWHERE[key]}")
        if key not in known:
            hint = nearest(key, known, _SYNONYMS)
            raise ConfigError(f"unknown key {key!r} in [learner.{section}]; {hint}")
    require_kinds(settings, cast("Any", method).__self__, f"[learner.{section}]")
    with refused_by_rllib(f"[learner.{section}]"):
        method(**settings)


def _keywords(method: Callable[..., Any]) -> set[str]:
    """Returns the keywords that a config method takes, including those of its base classes."""
    owner = cast("Any", method).__self__
    names: set[str] = set()
    for base in type(owner).__mro__:
        override = base.__dict__.get(method.__name__)
        if override is not None:
            names |= {
                parameter.name
                for parameter in inspect.signature(override).parameters.values()
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY
            }
    return names


def _model_config(settings: Mapping[str, Any]) -> DefaultModelConfig:
    known = inspect.signature(DefaultModelConfig).parameters
    for key in settings:
        if key not in known:
            hint = nearest(key, known, _SYNONYMS)
            raise ConfigError(f"unknown key {key!r} in [learner.model]; {hint}")
    require_kinds(settings, DefaultModelConfig(), "[learner.model]")
    with refused_by_rllib("[learner.model]"):
        return DefaultModelConfig(**settings)
