"""Violations of SPEC.md by a client."""

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


class Violation(Exception):
    """Ends a case: the client did something forbidden, or failed to do something required.

    Attributes:
        section: the section of SPEC.md with the rule.
        sentence: what the client did, with the relevant numbers; its subject is the client.
    """

    def __init__(self, section: Section, sentence: str) -> None:
        super().__init__(section, sentence)
        self.section = section
        self.sentence = sentence

    def __str__(self) -> str:
        return f"{self.sentence} [{self.section}]"


def fail(section: Section, sentence: str) -> NoReturn:
    """Ends the case.

    Raises:
        Violation: always.
    """
    raise Violation(section, sentence)
