"""Which changes of a run file a checkpoint survives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.learner.training.resuming import other_network, require_same_network
from headrace.learner.training.run_sections import (
    EnvironmentSection,
    LearnerRun,
    LearnerSection,
    RunSection,
)
from headrace.protocol.errors import ConfigError


def plan(folder: Path, environment: dict[str, Any] | None = None, **learner: Any) -> LearnerRun:
    return LearnerRun(
        run=RunSection(name="run"),
        environment=msgspec.convert(environment or {"id": "CartPole-v1"}, EnvironmentSection),
        learner=msgspec.convert(learner, LearnerSection),
        addresses=(),
        folder=str(folder),
        resume=True,
    )


def write(folder: Path, former: LearnerRun) -> None:
    encoded = msgspec.json.encode(msgspec.to_builtins(former))
    (folder / "config.json").write_bytes(encoded)


@pytest.mark.parametrize(
    "changed",
    [
        {"training": {"lr": 1e-3}},
        {"max_policy_lag": 3},
        {"environment": {"id": "CartPole-v1", "config": {"sutton_barto_reward": True}}},
    ],
)
def test_settings_that_do_not_change_the_network_may_change(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    require_same_network(tmp_path, plan(tmp_path))  # nothing was written
    write(tmp_path, plan(tmp_path, model={"fcnet_hiddens": [64]}))
    require_same_network(tmp_path, plan(tmp_path, model={"fcnet_hiddens": [64]}, **changed))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"model": {"fcnet_hiddens": [32]}}, r"\[learner\] model = \{\}, the run file has .*32"),
        ({"algorithm": "APPO"}, r'\[learner\] algorithm = "PPO", the run file has "APPO"'),
        ({"frame_stack": 4}, r"\[learner\] frame_stack = 1, the run file has 4"),
        (
            {"environment": {"observation_space": {"type": "box", "shape": [2]}}},
            r"\[environment\] observation_space = null",
        ),
    ],
)
def test_another_network_is_refused_with_what_differs(
    tmp_path: Path, changed: dict[str, Any], named: str
) -> None:
    write(tmp_path, plan(tmp_path))
    with pytest.raises(ConfigError, match=named):
        require_same_network(tmp_path, plan(tmp_path, **changed))


def test_a_damaged_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        require_same_network(tmp_path, plan(tmp_path))


def test_torchs_list_of_mismatches_becomes_one_sentence() -> None:
    error = other_network(
        RuntimeError(
            "Error(s) in loading state_dict for Module:\n"
            "\tsize mismatch for a.weight: copying a param with shape [64, 4] ...\n"
            "\tsize mismatch for b.weight: copying a param with shape [64, 64] ..."
        )
    )
    assert str(error).startswith(
        "cannot resume: the checkpoint is that of another network, size mismatch for a.weight"
    )
    assert "\n" not in str(error)


@pytest.mark.parametrize("written", ["[]", '{"learner": "a", "environment": 3}', "{"])
def test_a_config_that_is_damaged_is_an_error(written: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(written)
    with pytest.raises(ConfigError, match=r"cannot resume: .*config.json"):
        require_same_network(tmp_path, plan(tmp_path))
