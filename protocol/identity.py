"""Identities and policy versions: the names and numbers that messages carry."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from headrace.protocol.errors import ConfigError

MAX_SAFE_INTEGER = 2**53 - 1
"""The largest integer on the wire: the largest that a JavaScript number holds exactly."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern="^[!-~]+$")]
"""An actor id, run id or module id: 1 to 128 printable ASCII characters, no space."""

_NAME = re.compile("[!-~]{1,128}")


def require_name(name: str, what: str) -> str:
    """Returns a `Name`.

    Args:
        what: what it names, for the message.

    Raises:
        ConfigError: it is not one.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not {what}: use 1 to 128 printable ASCII characters, no space"
        )
    return name


Text = Annotated[str, msgspec.Meta(max_length=4096)]
"""Text for a human reader."""

Digest = Annotated[str, msgspec.Meta(min_length=8, max_length=128, pattern="^[0-9a-f]+$")]
"""A hash in lower-case hexadecimal."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_SAFE_INTEGER)]
"""A sequence number, a count, or a random identity such as an incarnation."""

BatchCount = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
"""A batch's sequence number, or a count of batches of one actor."""

FleetCount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A sum of such counts over a fleet."""

Epoch = Annotated[int, msgspec.Meta(ge=0, le=2**32)]

NEWEST_EPOCH_OF_A_PEER = 2**31
"""A peer's claim of a newer epoch than this is not believed: epochs increase by one."""


class PolicyVersion(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A version of the policy, ordered by epoch first.

    The broker grants one epoch per learner run, above every epoch it has heard of, so a restart of
    either side never makes a version go backwards. On the wire: `[epoch, number]`.
    """

    epoch: Epoch
    number: BatchCount

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"


Origin = tuple[str, int]
"""An actor and its incarnation."""
