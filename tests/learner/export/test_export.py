"""The exported graph acts as the RLModule does."""

from __future__ import annotations

import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.connectors.env_to_module import FlattenObservations, MeanStdFilter
from ray.rllib.connectors.env_to_module.observation_preprocessor import (
    SingleAgentObservationPreprocessor,
)
from ray.rllib.core.columns import Columns
from ray.rllib.utils.numpy import flatten_inputs_to_1d_tensor
from ray.rllib.utils.spaces.space_utils import get_base_struct_from_space, unsquash_action
from support.policies import Exported, shared_export

from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.actors.policy.onnx_session import BakedSession, open_session
from headrace.learner.export.observation_flattening import flattening_of
from headrace.protocol.errors import ConfigError
from headrace.protocol.trajectory import OBSERVATIONS

ROWS = 64
HALF = {"h": 0.5, "c": 0.0}
LSTM = {"use_lstm": True, "lstm_cell_size": 8, "vf_share_layers": True}
CARTPOLE = Box(-1.0, 1.0, (4,))
NESTED = Dict(
    {
        "pose": Box(-1.0, 1.0, (2, 3)),
        "gear": Discrete(4),
        "switches": MultiDiscrete([2, 3]),
    }
)


# RLlib annotates these for any nesting; here they take and return arrays.
unsquash: Any = unsquash_action
flatten_inputs: Any = flatten_inputs_to_1d_tensor


def flatten(env: Any = None, spaces: Any = None, device: Any = None) -> Any:
    return FlattenObservations()


def sample_rows(space: gym.Space[Any], rows: int = ROWS) -> Any:
    space.seed(0)
    samples = [space.sample() for _ in range(rows)]
    if isinstance(space, Dict):
        return {key: np.stack([sample[key] for sample in samples]) for key in space.spaces}
    return np.stack(samples)


def test_a_discrete_action_has_the_modules_probability() -> None:
    made = shared_export(CARTPOLE, Discrete(3))
    observations = sample_rows(CARTPOLE)
    acted = made.policy.act({OBSERVATIONS: observations})
    logits = made.module.forward_inference({Columns.OBS: torch.as_tensor(observations)})
    logits = logits[Columns.ACTION_DIST_INPUTS]
    np.testing.assert_allclose(acted.recorded["action_dist_inputs"], logits, atol=1e-5)
    expected = torch.log_softmax(logits, -1).numpy()
    chosen = expected[np.arange(ROWS), acted.recorded["actions"]]
    np.testing.assert_allclose(acted.recorded["action_logp"], chosen, atol=1e-5)
    np.testing.assert_array_equal(acted.env_actions, acted.recorded["actions"])


def test_sampling_follows_the_distribution() -> None:
    made = Exported(CARTPOLE, Discrete(3))
    rows = np.repeat(sample_rows(CARTPOLE, 1), 20_000, axis=0)
    acted = made.policy.act({OBSERVATIONS: rows})
    logits = acted.recorded["action_dist_inputs"][0]
    expected = np.exp(logits) / np.exp(logits).sum()
    found = np.bincount(acted.env_actions, minlength=3) / len(rows)
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_without_exploration_the_most_likely_action_is_taken() -> None:
    made = shared_export(CARTPOLE, Discrete(3))
    acted = made.policy.act({OBSERVATIONS: sample_rows(CARTPOLE)}, explore=False)
    best = acted.recorded["action_dist_inputs"].argmax(-1)
    np.testing.assert_array_equal(acted.env_actions, best)


def test_a_box_action_is_recorded_normalized_and_given_unsquashed() -> None:
    space = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    made = Exported(CARTPOLE, space)
    acted = made.policy.act({OBSERVATIONS: sample_rows(CARTPOLE)})
    expected = np.stack(
        [
            unsquash(action, get_base_struct_from_space(space))
            for action in acted.recorded["actions"]
        ]
    )
    np.testing.assert_allclose(acted.env_actions, expected, atol=1e-5)
    distribution = made.module.get_exploration_action_dist_cls().from_logits(
        torch.as_tensor(acted.recorded["action_dist_inputs"])
    )
    logp = distribution.logp(torch.as_tensor(acted.recorded["actions"]))
    np.testing.assert_allclose(acted.recorded["action_logp"], logp, atol=1e-4)


def test_box_actions_are_normally_distributed_around_the_mean() -> None:
    made = Exported(CARTPOLE, Box(-1.0, 1.0, (1,)))
    rows = np.repeat(sample_rows(CARTPOLE, 1), 20_000, axis=0)
    acted = made.policy.act({OBSERVATIONS: rows})
    mean, log_std = acted.recorded["action_dist_inputs"][0]
    standard = (acted.recorded["actions"][:, 0] - mean) / np.exp(log_std)
    assert abs(standard.mean()) < 0.03
    assert abs(standard.std() - 1.0) < 0.03
    assert abs((standard**3).mean()) < 0.1


@pytest.mark.parametrize("clips", [True, False])
def test_actions_that_are_not_normalized_are_clipped_if_rllib_would(clips: bool) -> None:
    space = Box(-0.001, 0.001, (1,))
    made = Exported(CARTPOLE, space, normalize_actions=False, clip_actions=clips)
    acted = made.policy.act({OBSERVATIONS: sample_rows(CARTPOLE)})
    assert bool(np.abs(acted.env_actions).max() <= 0.0011) == clips


@pytest.mark.parametrize("space", [NESTED, Discrete(5)])
def test_flattened_observations_equal_rllibs(space: gym.Space[Any]) -> None:
    made = Exported(space, Discrete(2), connector=flatten)
    rows = sample_rows(space)
    paths = (
        {f"obs/{key}": value for key, value in rows.items()}
        if isinstance(space, Dict)
        else {"obs": rows}
    )
    acted = made.policy.act(paths)
    expected = flatten_inputs(rows, get_base_struct_from_space(space), batch_axis=True)
    flattening = flattening_of(made.spaces.stages)
    for recorded in (acted.observations, made.policy.observe(paths)):
        flat = dict(recorded) if flattening is None else flattening.flatten(recorded)
        np.testing.assert_array_equal(flat["obs"], expected)


def test_actors_record_an_index_as_one_integer_though_the_module_sees_it_flat() -> None:
    made = Exported(Discrete(500), Discrete(6), connector=flatten)
    [column] = [c for c in made.exported.manifest.columns if c.name == "obs"]
    assert (column.dtype, column.shape, column.high) == ("int64", (), 499.0)


def test_actors_record_flat_observations_where_these_are_not_larger() -> None:
    space = Dict({"left": Box(-1.0, 1.0, (3,)), "right": Box(-1.0, 1.0, (2,))})
    made = Exported(space, Discrete(2), connector=flatten)
    assert [c.shape for c in made.exported.manifest.columns if c.name == "obs"] == [(5,)]


def test_double_precision_observations_are_recorded_as_they_are() -> None:
    space = Box(-1.0, 1.0, (3,), np.float64)
    made = Exported(space, Discrete(2))
    acted = made.policy.act({"obs": sample_rows(space)})
    assert acted.observations["obs"].dtype == np.float64


def test_a_convolutional_module_is_exported() -> None:
    space = Box(0.0, 1.0, (42, 42, 4))
    made = Exported(space, Discrete(4))
    acted = made.policy.act({"obs": sample_rows(space, 2)})
    assert acted.env_actions.shape == (2,)
    assert made.exported.manifest.graph.max_error < 1e-4


def test_the_graph_follows_new_weights() -> None:
    made = Exported(CARTPOLE, Discrete(3))
    observations = {OBSERVATIONS: sample_rows(CARTPOLE)}
    before = made.policy.act(observations).recorded["action_dist_inputs"]
    with torch.no_grad():
        for parameter in made.module.parameters():
            parameter.mul_(2.0)
    made.policy.set_weights(made.weights)
    after = made.policy.act(observations).recorded["action_dist_inputs"]
    expected = made.module.forward_inference(
        {Columns.OBS: torch.as_tensor(observations[OBSERVATIONS])}
    )[Columns.ACTION_DIST_INPUTS]
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, expected, atol=1e-4)


def test_the_critic_is_not_sent_to_actors() -> None:
    made = shared_export(CARTPOLE, Discrete(2))
    assert not [name for name in made.weights if "critic" in name or name.startswith("vf")]


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        ({"obs": np.zeros((1, 3), np.float32)}, r"shape \(3,\)"),
        ({"obs": np.zeros((1, 4), complex)}, "complex128"),
        ({"obs/a": np.zeros((1, 4))}, r"obs/a"),
    ],
)
def test_a_simulator_with_other_observations_gets_a_clear_error(
    observation: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        shared_export(CARTPOLE, Discrete(2)).policy.fit(observation)


def test_a_connector_without_a_counterpart_is_named_with_a_workaround() -> None:
    class Halve(SingleAgentObservationPreprocessor):
        def preprocess(self, observation: Any, episode: Any) -> Any:
            return observation / 2

    with pytest.raises(ConfigError, match=r"Halve.*wrapper"):
        Exported(CARTPOLE, Discrete(2), connector=lambda *_, **__: Halve())


def test_connectors_in_an_order_that_cannot_be_exported_are_refused() -> None:
    def pipeline(*_: Any, **__: Any) -> Any:
        return [MeanStdFilter(), FlattenObservations()]

    with pytest.raises(ConfigError, match="order"):
        Exported(CARTPOLE, Discrete(2), connector=pipeline)


def test_actions_that_cannot_be_exported_are_named() -> None:
    with pytest.raises(ConfigError, match="MultiDiscrete of one dimension"):
        Exported(CARTPOLE, MultiDiscrete(np.array([[2, 2], [3, 3]])))


def test_every_part_of_a_multi_discrete_action_follows_its_own_distribution() -> None:
    made = Exported(CARTPOLE, MultiDiscrete([2, 3]))
    rows = np.repeat(sample_rows(CARTPOLE, 1), 20_000, axis=0)
    acted = made.policy.act({OBSERVATIONS: rows})
    logits = acted.recorded["action_dist_inputs"][0]
    for part, (start, size) in enumerate([(0, 2), (2, 3)]):
        expected = np.exp(logits[start : start + size])
        found = np.bincount(acted.env_actions[:, part], minlength=size) / len(rows)
        np.testing.assert_allclose(found, expected / expected.sum(), atol=0.015)


@pytest.mark.parametrize(
    ("space", "start", "algorithm"),
    [
        (Discrete(3, start=5), [5], PPOConfig),
        (Discrete(3, start=-1), [-1], PPOConfig),
        (Discrete(4, start=5), [5], DQNConfig),
        (MultiDiscrete([2, 3], start=[10, -1]), [10, -1], PPOConfig),
    ],
)
def test_simulators_get_indices_from_start_and_the_learner_from_zero(
    space: Any, start: list[int], algorithm: Any
) -> None:
    made = Exported(CARTPOLE, space, algorithm=algorithm())
    acted = made.policy.act({OBSERVATIONS: sample_rows(CARTPOLE)})
    recorded = acted.recorded["actions"].reshape(ROWS, -1)
    assert (recorded >= 0).all()
    np.testing.assert_array_equal(acted.env_actions.reshape(ROWS, -1), recorded + start)
    assert all(space.contains(action) for action in acted.env_actions)
    given = made.policy.recorded_action(acted.env_actions[0])
    np.testing.assert_array_equal(given.reshape(-1), recorded[0])


def test_indices_in_observations_stay_in_their_space() -> None:
    space = Dict({"a": Discrete(3), "b": MultiDiscrete([2, 4]), "c": MultiBinary(2)})
    policy = Exported(space, Discrete(2), connector=flatten).policy
    right = {"a": 2, "b": [1, 3], "c": [0, 1]}
    policy.act(policy.rows_of(right))
    for path, wrong in {"a": 3, "b": [2, 0], "c": [0, 5]}.items():
        with pytest.raises(ConfigError, match=f"'obs/{path}' is ., outside its space"):
            policy.rows_of({**right, path: wrong})


@pytest.mark.parametrize(
    "space", [Discrete(5, start=3), MultiDiscrete([2, 3], start=[4, 1]), Discrete(2, start=-2)]
)
def test_indices_in_observations_that_rllib_would_flatten_wrongly_are_refused(space: Any) -> None:
    with pytest.raises(ConfigError, match="ignores its start: count from 0 in the simulator"):
        Exported(space, Discrete(2), connector=flatten)
    with pytest.raises(ConfigError, match="'obs/b' is"):
        Exported(Dict({"a": CARTPOLE, "b": space}), Discrete(2), connector=flatten)


def test_a_squashed_action_is_inside_the_simulators_bounds() -> None:
    made = Exported(CARTPOLE, Box(-2.0, 6.0, (2,)), algorithm=SACConfig())
    acted = made.policy.act({OBSERVATIONS: sample_rows(CARTPOLE, 2000)})
    assert np.abs(acted.recorded["actions"]).max() <= 1.0
    np.testing.assert_allclose(acted.env_actions, 2.0 + 4.0 * acted.recorded["actions"], atol=1e-5)
    distribution = made.module.get_exploration_action_dist_cls().from_logits(
        torch.as_tensor(acted.recorded["action_dist_inputs"])
    )
    inside = (np.abs(acted.recorded["actions"]) < 0.99).all(-1)
    logp: Any = distribution.logp(torch.as_tensor(acted.recorded["actions"]))
    np.testing.assert_allclose(
        acted.recorded["action_logp"][inside], logp.numpy()[inside], atol=1e-2
    )


def test_epsilon_is_the_share_of_random_actions() -> None:
    made = Exported(CARTPOLE, Discrete(4), algorithm=DQNConfig())
    rows = np.repeat(sample_rows(CARTPOLE, 1), 20_000, axis=0)
    greedy = made.policy.act({OBSERVATIONS: rows}, explore=False).env_actions
    assert len(set(greedy.tolist())) == 1
    for epsilon in (0.0, 0.4):
        made.policy.set_weights({**made.weights, "epsilon": np.array([epsilon], np.float32)})
        acted = made.policy.act({OBSERVATIONS: rows}).env_actions
        assert (acted != greedy[0]).mean() == pytest.approx(epsilon * 3 / 4, abs=0.015)


def test_a_recurrent_policy_continues_from_its_state() -> None:
    made = Exported(CARTPOLE, Discrete(2), model=LSTM)
    first, second = sample_rows(CARTPOLE, 2)[:, None]
    begun = made.policy.act({OBSERVATIONS: first}, explore=False)
    assert set(begun.state) == {"state/c", "state/h"}
    on = made.policy.act({OBSERVATIONS: second}, begun.state, explore=False)
    batch: dict[str, Any] = {
        Columns.OBS: torch.as_tensor(np.stack([first, second], axis=1)),
        Columns.STATE_IN: {name: torch.zeros(1, 1, 8) for name in ("c", "h")},
    }
    inputs = made.module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS][0]
    np.testing.assert_allclose(begun.recorded["action_dist_inputs"][0], inputs[0], atol=1e-5)
    np.testing.assert_allclose(on.recorded["action_dist_inputs"][0], inputs[1], atol=1e-5)
    np.testing.assert_array_equal(on.recorded["state_out/h"], on.state["state/h"])


def test_a_nonzero_initial_state_comes_with_the_weights() -> None:
    class Biased(DefaultPPOTorchRLModule):
        def get_initial_state(self) -> dict[str, Any]:
            return {name: np.full((1, 8), value, np.float32) for name, value in HALF.items()}

    made = Exported(
        CARTPOLE,
        Discrete(2),
        model=LSTM,
        module_class=Biased,
    )
    assert set(made.exported.initial_state) == {"initial_state/h"}
    state = made.policy.initial_state(3)
    np.testing.assert_array_equal(state["state/h"], np.full((3, 1, 8), 0.5))
    np.testing.assert_array_equal(state["state/c"], np.zeros((3, 1, 8)))


def test_a_graph_depends_on_the_architecture_and_not_on_the_weights() -> None:
    one, other = Exported(CARTPOLE, Discrete(2)), Exported(CARTPOLE, Discrete(2))
    assert any((one.weights[name] != other.weights[name]).any() for name in one.weights)
    assert one.exported.graph == other.exported.graph
    assert one.exported.manifest == other.exported.manifest


def test_a_critics_parameters_are_not_sent_to_actors() -> None:
    made = Exported(CARTPOLE, Discrete(2), inference_only=False)
    assert any(name.startswith("vf") for name in made.module.state_dict())
    assert not any(name.startswith("vf") for name in made.weights)


@pytest.mark.parametrize(
    ("observation", "is_baked"), [(CARTPOLE, False), (Box(0.0, 1.0, (64, 64, 3)), True)]
)
def test_weights_of_convolutions_are_baked_into_the_session(
    observation: Box, is_baked: bool
) -> None:
    made = shared_export(observation, Discrete(3))
    spec = made.exported.manifest.graph
    assert isinstance(open_session(made.exported.graph, spec), BakedSession) is is_baked


def test_baked_and_fed_weights_give_the_same_outputs() -> None:
    made = shared_export(Box(0.0, 1.0, (64, 64, 3)), Discrete(3))
    spec = made.exported.manifest.graph
    fed, baked = (
        OnnxPolicy(made.exported.graph, spec, np.random.default_rng(0), bakes=bakes)
        for bakes in (False, True)
    )
    observations = {OBSERVATIONS: sample_rows(Box(0.0, 1.0, (64, 64, 3)), 4)}
    for scale in (1.0, 3.0):
        weights = {name: value * np.float32(scale) for name, value in made.weights.items()}
        results: list[Any] = []
        for policy in (fed, baked):
            policy.set_weights(weights)
            results.append(policy.act(observations).recorded)
        for name, values in results[0].items():
            np.testing.assert_allclose(values, results[1][name], rtol=1e-5, atol=1e-5)


def test_without_the_package_onnx_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = shared_export(CARTPOLE, Discrete(3))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match="pip install"):
        open_session(made.exported.graph, made.exported.manifest.graph, bakes=True)
