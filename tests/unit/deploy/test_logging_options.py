"""How much a command logs."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMAND = """
import logging
import click
from headrace.deploy.logging_options import log_options

@click.command()
@log_options
def command():
    log = logging.getLogger("headrace.actor")
    log.debug("acting with policy version 1.7")
    log.info("acting in run walker")
    log.warning("the broker is silent")
    logging.getLogger("onnxscript.optimizer").warning("Skipping constant folding")

command()
"""
DEBUG = "D headrace.actor: acting with policy version 1.7"
INFO = "I headrace.actor: acting in run walker"
WARNING = "W headrace.actor: the broker is silent"
NOISE = "W onnxscript.optimizer: Skipping constant folding"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], [INFO, WARNING]),
        (["-q"], [WARNING]),
        (["-v"], [DEBUG, INFO, WARNING, NOISE]),
        (["--log-level", "error"], []),
        (["--log-level", "warning"], [WARNING]),
        (["--log-level", "debug"], [DEBUG, INFO, WARNING, NOISE]),
    ],
)
def test_options_choose_what_is_logged_of_headrace_and_of_libraries(
    options: list[str], lines: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *options], capture_output=True, text=True, check=True
    )
    logged = done.stderr.splitlines()
    assert [line.split(" ", 2)[2] for line in logged] == lines
    assert done.stdout == ""
