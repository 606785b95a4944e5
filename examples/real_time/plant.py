"""A cart with a pole on it, and the motor that pushes the cart."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from headrace.actors import PolicyClient

_POLE_ANGLE = 2
_UPRIGHT = np.zeros(4, np.float32)


class Plant:
    """Advances by 20 ms at each `move`, with the motor's last command.

    Attributes:
        observation: position, velocity, pole angle and angular velocity, [4].
        episode: the client's id of the current episode, None while no policy acts.
        returned: return of the current try, which is the number of ticks that the pole stood.
    """

    def __init__(self, seed: int) -> None:
        self._simulator: Any = gymnasium.make("CartPole-v1")
        self.observation: NDArray[np.float32] = self._simulator.reset(seed=seed)[0]
        self.episode: str | None = None
        self.returned = 0.0
        self._push = 0

    def move(self, client: PolicyClient) -> float | None:
        """Moves, and passes the result to the client; returns the return of a try that ended."""
        observation, reward, terminated, truncated, _ = self._simulator.step(self._push)
        self.observation = observation
        self.returned += float(reward)
        if self.episode is not None:
            client.log_returns(self.episode, float(reward))
        if not (terminated or truncated):
            return None
        if self.episode is not None:
            client.end_episode(self.episode, observation, truncated=truncated)
            self.episode = None
        self.observation, _ = self._simulator.reset()
        returned, self.returned = self.returned, 0.0
        return returned

    def obey(self, push: int) -> None:
        """Sets the motor: 0 pushes to the left, 1 to the right."""
        self._push = push

    def chase(self) -> None:
        """Sets the motor without a policy: it follows the pole."""
        self._push = int(self.observation[_POLE_ANGLE] > 0)


def wait_for_policy(client: PolicyClient) -> None:
    """Returns once the client has a policy to act with.

    Raises:
        LocalProtocolError: the client was closed before that.
    """
    episode = client.start_episode(training_enabled=False)
    client.get_action(episode, _UPRIGHT)
    client.end_episode(episode, _UPRIGHT)
