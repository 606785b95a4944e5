"""Hints for errors about unknown names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


def nearest(name: str, known: Iterable[str], synonyms: Mapping[str, str] = {}) -> str:
    """Returns a hint: the known name that is closest to `name`, or else all known names.

    Args:
        synonyms: known names by names that mean the same elsewhere.
    """
    names = sorted(known)
    if synonyms.get(name) in names:
        return f"did you mean {synonyms[name]!r}?"
    by_folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.5)
    return f"did you mean {by_folded[close[0]]!r}?" if close else f"known: {', '.join(names)}"
