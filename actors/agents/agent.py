"""Acts and records for one simulator that owns its loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from headrace.actors.agents.vector_agent import VectorAgent
from headrace.actors.connection.assignments import Reset
from headrace.actors.connection.broker_client import BrokerClient
from headrace.actors.recording.batch_lifecycle import WithoutCredit, waits_without_credit
from headrace.actors.recording.infos import require_info
from headrace.actors.recording.non_finite import OnNonFinite
from headrace.actors.recording.rows import action_of_one, rows_of_one
from headrace.actors.recording.simulator_values import flag_of, reward_of
from headrace.actors.recording.step_result import StepResult


class Agent:
    """Acts for one simulator; observations and actions are single ones, as in Gymnasium.

    Call `act` with each observation, and `record` with the result of the action. If the learner
    may assign tasks to the simulator, call `take_reset` before each `act`.
    """

    def __init__(
        self,
        client: BrokerClient,
        *,
        seed: int | None = None,
        without_credit: WithoutCredit = "wait",
        on_non_finite: OnNonFinite = "drop_episode",
    ) -> None:
        """Does not wait for the broker.

        Args:
            without_credit: what `act` does while the learner wants no data: wait, or act without
                recording, for simulators that cannot wait. It waits for the first policy.
            on_non_finite: what to do when an observation or a reward is not finite.

        Raises:
            ConfigError: an option is unknown.
        """
        self._agent = VectorAgent(
            client,
            1,
            seed=seed,
            waits=waits_without_credit(without_credit),
            on_non_finite=on_non_finite,
        )

    def act(self, observation: Any, timeout_s: float | None = None) -> Any:
        """Returns an action for the simulator: an int if actions are discrete, else an array.

        Waits, raises and returns None as `VectorAgent.act` does; after None, callers of
        `take_reset` must call it before the next `act`.
        """
        actions = self._agent.act(rows_of_one(observation), timeout_s)
        return None if actions is None else action_of_one(actions)

    def take_reset(self) -> Reset | None:
        """Returns what `VectorAgent.take_reset` does."""
        return self._agent.take_reset()

    def record(
        self,
        observation: Any,
        reward: float,
        *,
        terminated: bool = False,
        truncated: bool = False,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        """Records the observation and the reward that followed the last action.

        Numbers and flags may be Python's or NumPy's.

        Args:
            terminated: the episode has ended in a terminal state.
            truncated: the episode was cut off, for instance by a time limit.
            info: the simulator's info dict; numbers that the learner asks for are recorded.

        Raises:
            ConfigError: the observation does not match the policy, or the reward, a flag or an
                info is not one; the same call with other values may follow.
            LocalProtocolError: there was no `act` before it.
        """
        rows = rows_of_one(observation)
        has_terminated = flag_of("terminated", terminated)
        has_been_truncated = flag_of("truncated", truncated)
        is_done = has_terminated or has_been_truncated
        self._agent.record(
            StepResult(
                observations=rows,
                rewards=np.array([reward_of(reward)]),
                terminated=np.array([has_terminated]),
                truncated=np.array([has_been_truncated]),
                final_observations=(
                    {0: {path: row[0] for path, row in rows.items()}} if is_done else {}
                ),
                infos={key: (value,) for key, value in require_info(info).items()},
            )
        )

    def drop_episode(self) -> None:
        """Forgets the open episode of a simulator that failed; `act` begins the next one.

        Its steps in batches that were delivered stay delivered.
        """
        self._agent.drop_episodes()
