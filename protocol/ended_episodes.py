"""Totals of a whole multi-agent episode, sent once, in the batch that holds its end.

The chunks of its agents may be in other batches, and in other learner sessions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.protocol.errors import RejectCode, RemoteProtocolError
from headrace.protocol.identity import Count


class AgentTotals(msgspec.Struct, frozen=True, array_like=True):
    """One agent's share: its steps, and their undiscounted return."""

    agent: str
    module: str
    steps: Count
    episode_return: float


class EndedEpisode(msgspec.Struct, frozen=True):
    """An episode that ended for all of its agents.

    Attributes:
        chunk: index of a chunk of that episode in the same chunk table.
        truncated: whether it was truncated, in Gymnasium's sense.
        env_steps: of the whole episode.
        agents: all that ever acted in it.
    """

    chunk: Count
    truncated: bool
    env_steps: Count
    episode_s: float
    agents: tuple[AgentTotals, ...]

    @property
    def episode_return(self) -> float:
        """Undiscounted return, summed over the agents."""
        return sum(agent.episode_return for agent in self.agents)


def ended_to_wire(ended: Sequence[EndedEpisode]) -> list[Any]:
    """Returns the episodes as plain maps and lists."""
    built: list[Any] = msgspec.to_builtins(ended)
    return built


def ended_from_wire(value: object, chunks: int) -> tuple[EndedEpisode, ...]:
    """Returns the ended episodes of a chunk table that has `chunks` chunks.

    Raises:
        RemoteProtocolError: the value is not a list of ended episodes of that table.
    """
    try:
        ended = msgspec.convert(value, tuple[EndedEpisode, ...])
    except msgspec.ValidationError as error:
        raise _fault(str(error)) from error
    for episode in ended:
        if episode.chunk >= chunks:
            raise _fault("a 'chunk' that is not in the table")
        if not math.isfinite(episode.episode_return) or not math.isfinite(episode.episode_s):
            raise _fault("a number that is not finite")
    return ended


def _fault(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(RejectCode.INVALID_BATCH, f"the batch's 'ended' has {what}")
