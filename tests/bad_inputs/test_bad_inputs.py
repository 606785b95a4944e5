"""Bad inputs end with a sentence and an exit code, never with a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = tomllib.loads((HERE / "table.toml").read_text())["case"]
CONFIG = 3


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}
    done = subprocess.run(
        [sys.executable, "-m", "bad_inputs.run_cases", str(tmp_path_factory.mktemp("cases"))],
        input=json.dumps(CASES),
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_table_has_a_hundred_cases_with_different_names() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 100


@pytest.mark.parametrize("case", CASES, ids=[case["name"].replace(" ", "-") for case in CASES])
def test_a_bad_input_ends_with_a_sentence(results: dict[str, Any], case: dict[str, Any]) -> None:
    result = results[case["name"]]
    text = "\n".join(result["lines"])
    assert "Traceback" not in text
    assert result["exit"] == case.get("exit", CONFIG), text
    assert case["says"] in text
    assert len(result["lines"]) <= 3, text
