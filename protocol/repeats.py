"""How often to log what happens again and again."""

from __future__ import annotations


def is_worth_a_line(count: int) -> bool:
    """Returns whether to log the `count`-th occurrence: the first, and then powers of two."""
    return count & (count - 1) == 0
