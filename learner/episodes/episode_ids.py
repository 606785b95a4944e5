"""Which chunks go on where another one ended."""

from __future__ import annotations

from collections import OrderedDict

from headrace.protocol.trajectory import Chunk

_REMEMBERED_EPISODES = 20_000


class EpisodeNames:
    """Names chunks so that those of one name are contiguous, whatever was lost or went elsewhere.

    RLlib's replay buffers join chunks by episode id, and fail on one that does not begin where the
    last one ended. With several runners the chunks of one episode may go to more than one of them.
    """

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[int, str]] = OrderedDict()
        """By episode id: the step at which the next chunk has to begin, and the name in use."""

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
