"""Simulators of others train from a run file alone: `make zoo`.

What is not installed is skipped: `pip install '.[zoo]'`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.machine import scaled

HERE = Path(__file__).parent
ITERATIONS = 10
PACKAGES = {
    "doom": "vizdoom",
    "flight": "jsbsim",
    "highway": "highway_env",
    "minigrid": "minigrid",
    "multi_agent_cartpole": "ray",
    "panda": "panda_gym",
    "simple_spread": "mpe2",
    "tictactoe": "pettingzoo",
    "turret": "ray",
}


def test_every_run_file_names_its_package() -> None:
    assert {path.stem for path in HERE.glob("*.toml")} == PACKAGES.keys()


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.rllib
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", PACKAGES)
def test_a_simulator_trains_ten_iterations(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(PACKAGES[name]) is None:
        pytest.skip(f"{PACKAGES[name]} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "headrace.deploy", "up", str(HERE / f"{name}.toml"), "--actors=2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=scaled(300),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    lines = (tmp_path / "runs" / name / "metrics.jsonl").read_text().splitlines()
    assert len(lines) >= ITERATIONS
