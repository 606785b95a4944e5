"""SUMO runs the crossing, and asks the policy every five seconds whether to switch the light.

headrace up examples/sumo/run.toml
python -m examples.sumo.crossing     # as many as you like, until they are stopped
"""

from __future__ import annotations

import sys

import numpy as np

from examples.sumo.simulation import Crossing
from headrace.actors import PolicyClient

FIRST_TRAINING_SEED = 1000
"""Seeds below it are for comparison."""
_REWARD_SCALE_S = 100.0


def main() -> None:
    """Plays episodes until it is stopped."""
    address = sys.argv[1] if len(sys.argv) > 1 else None
    seeds = np.random.default_rng()
    with Crossing() as crossing, PolicyClient(address) as client:
        while True:
            crossing.begin(int(seeds.integers(FIRST_TRAINING_SEED, 2**31)))
            play(crossing, client)


def play(crossing: Crossing, client: PolicyClient) -> None:
    """Plays the current episode; its reward is minus the time that vehicles waited."""
    episode = client.start_episode()
    while not crossing.is_over:
        action = client.get_action(episode, crossing.observe())
        waited_s = crossing.run(switch=action == 1)
        client.log_returns(episode, -waited_s / _REWARD_SCALE_S)
    client.end_episode(episode, crossing.observe(), truncated=True)


if __name__ == "__main__":
    main()
