"""What to write where an environment cannot be made."""

from __future__ import annotations

import pytest

from headrace.protocol.errors import ConfigError
from headrace.protocol.simulator_errors import making


class NameNotFound(Exception):
    """Gymnasium's error of that name."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            NameNotFound("Environment `X` doesn't exist."),
            "cannot make the environment 'X-v0': Environment `X` doesn't exist; if a package of "
            "its own registers it, write package:Name-v0",
        ),
        (
            ModuleNotFoundError("No module named 'x'"),
            "cannot make the environment 'X-v0': No module named 'x'; is it installed, or in the "
            "folder in which headrace is started?",
        ),
        (
            TypeError("missing 'level'\nand more"),
            "cannot make the environment 'X-v0': missing 'level'; its arguments are written under "
            "[environment.config], or with --env-config",
        ),
        (RuntimeError("no licence"), "cannot make the environment 'X-v0': no licence"),
        (KeyError("level"), "cannot make the environment 'X-v0': KeyError('level')"),
        (ValueError(), "cannot make the environment 'X-v0': ValueError()"),
        (SystemExit(2), "cannot make the environment 'X-v0': it called sys.exit(2)"),
    ],
)
def test_the_cause_and_the_remedy_are_one_sentence(error: BaseException, message: str) -> None:
    with pytest.raises(ConfigError) as raised, making("X-v0"):
        raise error
    assert str(raised.value) == message


def test_a_long_cause_is_cut() -> None:
    with pytest.raises(ConfigError) as raised, making("X-v0"):
        raise RuntimeError("x" * 1000)
    assert len(str(raised.value)) < 400


def test_an_error_of_headrace_passes() -> None:
    refused = ConfigError("write id")
    with pytest.raises(ConfigError) as raised, making("X-v0"):
        raise refused
    assert raised.value is refused
