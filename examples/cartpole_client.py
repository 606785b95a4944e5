"""A simulator that owns its loop, with the methods of RLlib's PolicyClient.

headrace broker
headrace learner examples/cartpole.toml
python examples/cartpole_client.py                             # as many as you like
headrace policy-server                                         # or, with the policy on a server:
python examples/cartpole_client.py tcp://127.0.0.1:5570 remote
"""

from __future__ import annotations

import sys

import gymnasium

from headrace.actors import PolicyClient


def main() -> None:
    """Plays episodes until it is stopped."""
    simulator = gymnasium.make("CartPole-v1")
    address = sys.argv[1] if len(sys.argv) > 1 else None
    with PolicyClient(address, "remote" if "remote" in sys.argv else "local") as client:
        while True:
            episode = client.start_episode()
            observation, _ = simulator.reset()
            terminated = truncated = False
            while not (terminated or truncated):
                action = client.get_action(episode, observation)
                observation, reward, terminated, truncated, _ = simulator.step(action)
                client.log_returns(episode, float(reward))
            client.end_episode(episode, observation, truncated=truncated)


if __name__ == "__main__":
    main()
