"""RLlib's external runner and its client: the usual tools today."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Event
from typing import Any

import gymnasium as gym
import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.external.env_runner_server_for_external_inference import (
    EnvRunnerServerForExternalInference,
)
from ray.rllib.env.external.rllink import RLlink, get_rllink_message, send_rllink_message
from ray.rllib.env.single_agent_episode import SingleAgentEpisode

from benchmarks.processes import free_port

OBSERVATION = gym.spaces.Box(-10.0, 10.0, (4,), np.float32)
ACTION: gym.spaces.Discrete[Any] = gym.spaces.Discrete(2)


def make_config(**env_config: Any) -> PPOConfig:
    """Returns a PPO config for CartPole's spaces."""
    config = PPOConfig().environment(
        observation_space=OBSERVATION, action_space=ACTION, env_config=env_config
    )
    config.env_runners(num_env_runners=0)
    return config.debugging(log_level="ERROR")


@contextmanager
def server() -> Generator[tuple[EnvRunnerServerForExternalInference, int]]:
    """Yields a listening server and its port."""
    port = free_port()
    with contextlib.redirect_stdout(io.StringIO()):
        runner = EnvRunnerServerForExternalInference(config=make_config(port=port), worker_index=0)
        try:
            yield runner, port
        finally:
            runner.stop()


def connect(port: int) -> socket.socket:
    """Returns a connected client as soon as the server listens."""
    pause = Event()
    while True:
        try:
            return socket.create_connection(("localhost", port))
        except ConnectionRefusedError:
            pause.wait(0.05)


def make_message(episodes: int, steps: int, kind: RLlink) -> dict[str, Any]:
    """Returns episodes as RLlib's example client sends them."""
    rng = np.random.default_rng(0)
    states: list[Any] = []
    for index in range(episodes):
        episode = SingleAgentEpisode(
            id_=str(index), observation_space=OBSERVATION, action_space=ACTION
        )
        episode.add_env_reset(observation=rng.standard_normal(4).astype(np.float32))
        for step in range(steps):
            episode.add_env_step(
                observation=rng.standard_normal(4).astype(np.float32),
                action=int(rng.integers(2)),
                reward=1.0,
                terminated=step == steps - 1,
                extra_model_outputs={
                    "action_logp": -0.7,
                    "action_dist_inputs": rng.standard_normal(2).astype(np.float32),
                },
            )
        states.append(episode.get_state())
    return {"type": kind.name, "episodes": states}


def push_messages(port: int, episodes: int, steps: int, to_parent: Connection) -> None:
    """Runs a client process, which sends one prepared message as often as requested."""
    client = connect(port)
    message = make_message(episodes, steps, RLlink.EPISODES)
    while (count := to_parent.recv()) is not None:
        for _ in range(count):
            send_rllink_message(client, message)


def round_trips(port: int, episodes: int, steps: int, to_parent: Connection) -> None:
    """Runs a client process, which at each request sends a fragment and awaits new weights."""
    client = connect(port)
    message = make_message(episodes, steps, RLlink.EPISODES_AND_GET_STATE)
    while to_parent.recv() is not None:
        send_rllink_message(client, message)
        get_rllink_message(client)
        to_parent.send(None)
