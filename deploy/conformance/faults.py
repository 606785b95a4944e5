"""What a client did wrong, and where SPEC.md says so."""

from __future__ import annotations

from enum import Enum
from typing import NoReturn


class Section(Enum):
    """A section of SPEC.md: its number and its title."""

    ENDPOINTS = (2, "Endpoints")
    FRAMES = (3, "Frames")
    MESSAGES = (4, "Messages")
    DELIVERY = (5, "Delivery")
    TRAJECTORIES = (6, "Trajectory batches")
    POLICY = (7, "The policy")

    def __str__(self) -> str:
        number, title = self.value
        return f"SPEC.md, section {number} ({title})"


class ClientFault(Exception):
    """Ends a scene: the client did what the wire forbids, or did not do what it demands.

    Attributes:
        section: where to read what is right.
        sentence: what it did, with the numbers that matter.
    """

    def __init__(self, section: Section, sentence: str) -> None:
        super().__init__(section, sentence)
        self.section = section
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.sentence} [{self.section}]"


def fail(section: Section, sentence: str) -> NoReturn:
    """Ends the scene.

    Raises:
        ClientFault: always.
    """
    raise ClientFault(section, sentence)
