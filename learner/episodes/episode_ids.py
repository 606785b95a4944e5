"""Names the chunks of an episode so that equal names are contiguous."""

from __future__ import annotations

from collections import OrderedDict

from headrace.protocol.trajectory import Chunk

_REMEMBERED_EPISODES = 20_000


class ContiguousEpisodeIds:
    """Names chunks so that chunks of one name are contiguous, even if others are missing.

    RLlib's replay buffers join chunks by episode id, and fail on a chunk that does not begin where
    the previous one ended. Chunks may be lost, or leased to other runners.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """By episode id: the step at which the next chunk must begin, and the name in use."""

    def name(self, chunk: Chunk) -> str:
        """Returns the episode's id, or another name after a gap; call it for each chunk once."""
        expected, name = self._open.pop(chunk.episode_id, (0, chunk.episode_id))
        if chunk.t_started != expected:
            name = f"{chunk.episode_id}-{chunk.t_started}"
        if not chunk.is_done:
            self._open[chunk.episode_id] = (chunk.t_started + chunk.length, name)
            if len(self._open) > _REMEMBERED_EPISODES:
                self._open.popitem(last=False)
        return name
