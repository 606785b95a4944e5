"""Pieces that were leased and not yet handed to RLlib, cut to what it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from headrace.learner.connection.session import LeasedBatch
from headrace.learner.episodes.gc_pause import paused_collection
from headrace.learner.episodes.segments import EpisodePiece, cut_piece, pieces_of


class PieceStock:
    """First in, first out; a piece that is too long for what is asked is cut in two.

    `lookbacks` is, by module, how much context the second part of a cut chunk brings.
    """

    def __init__(self, lookbacks: Mapping[str, int]) -> None:
        self._lookbacks = lookbacks
        self._pieces: deque[tuple[EpisodePiece, LeasedBatch]] = deque()
        self._finished: LeasedBatch | None = None
        self.env_steps = 0

    def add(self, batch: LeasedBatch) -> None:
        """Takes a batch's pieces in.

        Raises:
            RemoteProtocolError: its payload is not a batch.
        """
        with paused_collection():
            for piece in pieces_of(batch.unpack(), batch.lease):
                self._pieces.append((piece, batch))
                self.env_steps += piece.env_steps

    @property
    def finished(self) -> LeasedBatch | None:
        """The newest batch of which nothing is left: up to there, all was handed out."""
        return self._finished

    def take(self, env_steps: int) -> list[EpisodePiece]:
        """Returns pieces of exactly so many env steps together; less if there is less."""
        taken: list[EpisodePiece] = []
        while env_steps > 0 and self._pieces:
            piece, batch = self._pieces.popleft()
            length = piece.env_steps
            if length > env_steps:
                piece, rest = cut_piece(piece, env_steps, self._lookbacks)
                length = env_steps
                self._pieces.appendleft((rest, batch))
            elif not self._pieces or self._pieces[0][1] is not batch:
                self._finished = batch
            taken.append(piece)
            env_steps -= length
            self.env_steps -= length
        return taken
