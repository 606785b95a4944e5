"""The order of thin simulators' requests: each turn once, and repeating one changes nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from headrace.protocol.errors import RejectCode

_REMEMBERED_ENDS = 20_000

Key = tuple[str, str]
"""Peer name and episode name; the same episode name of two peers means two episodes."""
Fault = tuple[RejectCode, str]
Content = TypeVar("Content")


@dataclass
class OpenEpisode(Generic[Content]):
    """An episode between its first request and its end.

    Attributes:
        content: the caller's own data about the episode.
        route: the peer to answer.
        next_turn: the turn of the next request.
        answered_turn: the turn of the newest answer; -1 before the first one.
        answer: the frames of the newest answer.
    """

    content: Content
    route: bytes
    heard_at_s: float
    next_turn: int = 0
    answered_turn: int = -1
    answer: list[bytes] = field(default_factory=list[bytes])

    @property
    def turn(self) -> int:
        """The turn of the newest request."""
        return self.next_turn - 1


class RequestOrder(Generic[Content]):
    """The open episodes, and the last answers of those that have ended.

    For each request check `is_repeated`, then `fault_of`; a request that is neither repeated nor at
    fault is the next one: `open` an unknown episode, and `advance` it.
    """

    def __init__(self, max_episodes: int) -> None:
        self._max_episodes = max_episodes
        self._open: dict[Key, OpenEpisode[Content]] = {}
        self._ended: OrderedDict[Key, list[bytes]] = OrderedDict()

    def __getitem__(self, key: Key) -> OpenEpisode[Content]:
        return self._open[key]

    def get(self, key: Key) -> OpenEpisode[Content] | None:
        """Returns an episode if it is open."""
        return self._open.get(key)

    def is_repeated(self, key: Key, turn: int) -> bool:
        """Returns whether a request was made before; then reply with `answer_to`."""
        known = self._open.get(key)
        if known is None:
            return key in self._ended
        return turn in (known.answered_turn, known.turn)

    def answer_to(self, key: Key, turn: int) -> list[bytes] | None:
        """Returns the answer to a repeated request, None while it is in progress."""
        known = self._open.get(key)
        if known is None:
            return self._ended.get(key)
        return known.answer if turn == known.answered_turn else None

    def fault_of(self, key: Key, turn: int) -> Fault | None:
        """Returns what is wrong with a request that is not repeated, None if it comes next."""
        known = self._open.get(key)
        if known is None and turn:
            return (
                RejectCode.UNKNOWN_EPISODE,
                "this server does not know the episode, or no longer: begin another one",
            )
        if known is None and len(self._open) >= self._max_episodes:
            return RejectCode.TOO_MUCH, "too many episodes are open"
        if known is not None and turn != known.next_turn:
            return RejectCode.INVALID_TURN, f"turn {known.next_turn} comes next"
        if known is not None and known.answered_turn != known.turn:
            return RejectCode.INVALID_TURN, f"turn {known.answered_turn + 1} is not answered yet"
        return None

    def note_contact(self, key: Key, route: bytes, now_s: float) -> None:
        """Updates an episode's route and time of last contact, if it is open."""
        known = self._open.get(key)
        if known is not None:
            known.route, known.heard_at_s = route, now_s

    def open(self, key: Key, content: Content, route: bytes, now_s: float) -> None:
        """Opens an episode."""
        self._open[key] = OpenEpisode(content, route, now_s)

    def advance(self, key: Key) -> None:
        """Counts the next request."""
        self._open[key].next_turn += 1

    def take_back(self, key: Key) -> None:
        """Uncounts a request that could not be served, so that its turn comes next again."""
        self._open[key].next_turn -= 1

    def answer(self, key: Key, answer: list[bytes]) -> OpenEpisode[Content]:
        """Stores the answer to the newest request."""
        known = self._open[key]
        known.answered_turn, known.answer = known.turn, answer
        return known

    def end(self, key: Key, answer: list[bytes]) -> OpenEpisode[Content]:
        """Closes an episode; its last answer is remembered for a while."""
        self._ended[key] = answer
        if len(self._ended) > _REMEMBERED_ENDS:
            self._ended.popitem(last=False)
        return self._open.pop(key)

    def forget(self, key: Key) -> OpenEpisode[Content]:
        """Closes an episode, and remembers nothing of it."""
        return self._open.pop(key)

    def silent_since(self, limit_s: float) -> Iterator[tuple[Key, OpenEpisode[Content]]]:
        """Yields the episodes without requests since then; the caller may `forget` them."""
        for key, known in list(self._open.items()):
            if known.heard_at_s < limit_s:
                yield key, known
