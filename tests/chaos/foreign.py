"""A stage whose actors are programs in another language, a process for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.stage import Stage


class ForeignStage(Stage):
    """Starts `command` with `--address`, `--diary`, `--actor`, `--life`, and the options of a plan.

    The program acts as `chaos.actor` for one actor, and writes the same diary.
    """

    def __init__(self, folder: Path, command: Sequence[str], *, actors: int) -> None:
        super().__init__(folder, actors=actors, actors_per_process=1, learners=1)
        self._command = command

    def start_actors(self, index: int, **plan: Any) -> None:
        """Starts the next process of an actor."""
        part = self.actors[index]
        options = {
            "address": self.address,
            "diary": self.folder / f"{part.name}.diary",
            "actor": index,
            "life": part.life + 1,
            **plan,
        }
        words: list[str] = []
        for name, value in options.items():
            words += (f"--{name.replace('_', '-')}", str(value))
        part.launch(*self._command, *words)
