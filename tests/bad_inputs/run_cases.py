"""Runs bad inputs, each in a process that is forked after the slow imports; prints results as JSON.

python -m bad_inputs.run_cases FOLDER    # cases from standard input, as in table.toml
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from headrace.actors import Agent, Client, PolicyClient
from headrace.broker.access.key_folder import KeyFolder
from headrace.deploy.cli import exit_code_of, main
from headrace.learner import BrokerEnvRunner
from headrace.protocol.errors import HeadraceError

_RUN = "[run]\nname = 'x'\nstop = { env_steps = 10 }\n"
_LEARNER = ("learner", "run.toml", "--broker", "tcp://127.0.0.1:1")
_DEADLINE_S = 60
_SLOW = ("gymnasium", "headrace.learner.training.training_loop", "torch")


def runner(settings: dict[str, Any], *, env: str | None = None, **env_config: Any) -> None:
    """Makes a runner, as RLlib does from a script's config."""
    from ray.rllib.algorithms.ppo import PPOConfig

    config = PPOConfig().environment(env, env_config={"headrace": settings, **env_config})
    BrokerEnvRunner(config=config)


def run_case(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the exit code and the output of a case."""
    folder.mkdir()
    _write(case, folder)
    output = folder / ".output"
    child = os.fork()
    if child == 0:
        _run_in_child(case, folder, output)
    _, status = os.waitpid(child, 0)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "lines": [line for line in output.read_text().splitlines() if line.strip()],
    }


def _write(case: dict[str, Any], folder: Path) -> None:
    files = dict(case.get("files", {}))
    if "run" in case:
        files["run.toml"] = _RUN + case["run"]
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for name, content in case.get("latin1", {}).items():
        (folder / name).write_text(content, encoding="latin-1")
    if case.get("keys"):
        KeyFolder(folder / "keys").create()


def _run_in_child(case: dict[str, Any], folder: Path, output: Path) -> NoReturn:
    status = 1
    try:
        os.chdir(folder)
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        signal.alarm(_DEADLINE_S)
        sys.argv = ["headrace", *case.get("arguments", _LEARNER)]
        status = _run_script(case["script"]) if "script" in case else _run_command()
    except BaseException:  # noqa: BLE001 - the parent reads it
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _run_command() -> int:
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def _run_script(script: str) -> int:
    names = {"Agent": Agent, "Client": Client, "PolicyClient": PolicyClient, "runner": runner}
    try:
        exec(script, names)  # noqa: S102 - from the table
    except HeadraceError as error:
        print(f"headrace: {error}")
        return int(exit_code_of(error))
    return 0


def _main() -> None:
    for module in _SLOW:
        importlib.import_module(module)
    cases = json.load(sys.stdin)
    folder = Path(sys.argv[1])
    found = {case["name"]: run_case(case, folder / str(n)) for n, case in enumerate(cases)}
    print(json.dumps(found))


if __name__ == "__main__":
    _main()
