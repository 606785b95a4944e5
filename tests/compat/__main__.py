"""`make compat`: the learner's tests with each Ray release, the light parts with each Python.

`ONLY="2.57 python3.12"` chooses. Environments are made under `build/compat`; pip gets the
newest patch of a minor release.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.deploy.ray_version import NEWEST, OLDEST

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "compat"
LEARNER_TESTS = (
    "tests/learner",
    "tests/unit/learner",
    "tests/integration/test_rllink_gateway.py",
    "tests/process/test_rllink_gateway.py",
)
LIGHT_TESTS = ("tests/unit/protocol", "tests/unit/broker", "tests/contract")
TOOLS = ("hypothesis", "psutil", "pytest", "pytest-timeout", "pytest-xdist")


@dataclass(frozen=True)
class Environment:
    """What is installed, and what it has to pass.

    Attributes:
        python: the interpreter that makes the virtual environment.
        requirements: for pip, beside headrace itself.
        extras: of headrace, such as `[learner]`.
    """

    name: str
    python: str
    extras: str
    requirements: tuple[str, ...]
    tests: tuple[str, ...]

    def run(self) -> bool:
        """Makes the environment and runs the tests in it; returns whether they pass."""
        folder = FOLDER / self.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        constraints = folder / "constraints.txt"
        pinned = (ROOT / "constraints.txt").read_text()
        constraints.write_text(re.sub(r"^ray==.*\n", "", pinned, flags=re.M))
        python = folder / "venv" / "bin" / "python"
        install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        steps = (
            (self.python, "-m", "venv", str(folder / "venv")),
            (
                *(str(python), *install, "--constraint", str(constraints)),
                *("--editable", f"{ROOT}{self.extras}", *self.requirements),
            ),
            (
                *(str(python), "-m", "pytest", "-q", "--numprocesses=2", "-p", "no:cacheprovider"),
                *self.tests,
            ),
        )
        return all(subprocess.run(step, cwd=ROOT).returncode == 0 for step in steps)


def environments() -> Iterator[Environment]:
    """Yields one for each minor release of Ray that is supported, and for each Python here."""
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        ray = f"ray[rllib]=={OLDEST[0]}.{minor}.*"
        needed = (ray, "pettingzoo", *TOOLS)
        yield Environment(
            f"{OLDEST[0]}.{minor}", sys.executable, "[actor,learner]", needed, LEARNER_TESTS
        )
    for name in ("python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name)
        # A version manager's shim may exist for an interpreter that is not activated.
        if path is not None and not subprocess.run((path, "-V"), capture_output=True).returncode:
            yield Environment(name, path, "", TOOLS, LIGHT_TESTS)


def main(chosen: list[str]) -> int:
    """Runs the chosen environments, or all; prints a table."""
    results: list[str] = []
    has_failed = False
    for environment in environments():
        if chosen and environment.name not in chosen:
            continue
        begun_s = time.monotonic()
        passes = environment.run()
        has_failed |= not passes
        verdict = "passes" if passes else "FAILS"
        results.append(f"{environment.name:12} {verdict:8} {time.monotonic() - begun_s:6.0f} s")
        print("\n".join(results), flush=True)
    return int(has_failed or not results)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
