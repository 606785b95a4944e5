"""Commands where the packages of an extra are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy.exit_codes import ExitCode

WITHOUT = """
import sys
for name in ("gymnasium", "matplotlib", "onnx", "onnxruntime", "onnxscript", "ray", "torch"):
    sys.modules[name] = None
sys.argv = ["headrace", *sys.argv[1:]]
from headrace.deploy.cli import main
main()
"""
RUN = """
[run]
name = "try"
[environment]
id = "CartPole-v1"
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], cwd=folder, capture_output=True, text=True
    )


@pytest.mark.parametrize("command", ["actor", "learner", "policy-server", "up", "status"])
def test_help_needs_no_extra(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "--help")
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert f"headrace {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["actor", "--env", "CartPole-v1"], "actor"),
        (["learner", "run.toml"], "learner"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(
    tmp_path: Path, arguments: list[str], extra: str
) -> None:
    (tmp_path / "run.toml").write_text(RUN)
    done = run(tmp_path, *arguments)
    assert done.returncode == ExitCode.CONFIG
    [line] = done.stderr.splitlines()
    assert line.endswith(f"which is not installed: pip install 'headrace[{extra}]'")
