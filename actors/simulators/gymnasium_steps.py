"""Checks what a Gymnasium environment's `step` and `reset` return."""

from __future__ import annotations

from typing import Any

import gymnasium

from headrace.actors.recording.simulator_values import flag_of, reward_of
from headrace.protocol.errors import ConfigError

_RESULTS = 5
_OLD = "4 values"
_UNPACKED = "values to unpack (expected 5"


class CheckedSteps(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Returns rewards and flags as Python's, in vector environments too.

    Those would store None as NaN.
    """

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Steps the environment.

        Raises:
            ConfigError: the result is not Gymnasium's five values.
        """
        try:
            result: Any = self.env.step(action)
        except ValueError as error:
            if _UNPACKED in str(error):  # by a wrapper that Gymnasium put around the environment
                raise ConfigError(_not_five(self.env, str(error))) from error
            raise
        if not isinstance(result, tuple) or len(result) != _RESULTS:
            raise ConfigError(_not_five(self.env, result))
        observation, reward, terminated, truncated, info = result
        return (
            observation,
            reward_of(reward),
            flag_of("terminated", terminated),
            flag_of("truncated", truncated),
            info,
        )

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Resets the environment; passes on what it is given, since older ones take less.

        Raises:
            ConfigError: the result is not an observation and an info dict.
        """
        result: Any = self.env.reset(**arguments)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise ConfigError(
                f"reset() of {_name(self.env)} does not return an observation and an info dict, as "
                "Gymnasium's does: return observation, {}"
            )
        return result


def _not_five(env: gymnasium.Env[Any, Any], result: Any) -> str:
    text = (
        f"step() of {_name(env)} returns {_counted(result)}; Gymnasium's returns observation, "
        "reward, terminated, truncated, info"
    )
    if _counted(result) == _OLD:
        return f"{text}: divide the old done into terminated and truncated (a time limit)"
    return text


def _counted(result: Any) -> str:
    if isinstance(result, str):  # the message of an error
        result = result.rpartition("got ")[2].rstrip(")")
        return f"{result} values" if result.isdigit() else "more values"
    return f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__


def _name(env: gymnasium.Env[Any, Any]) -> str:
    return type(env.unwrapped).__name__
