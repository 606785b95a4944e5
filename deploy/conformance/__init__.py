"""Plays the broker's part against somebody's client, and tells what it did wrong.

`scenes/` has what is played, one file per section of SPEC.md that it holds the client to;
`observer.py` and `episodes.py` judge every message, whatever is played.
"""
