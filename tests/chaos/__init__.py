"""Kills, freezes and cuts off real processes, and verifies from outside that nothing was lost.

`python -m chaos` (with `tests` on the path) runs scenarios; `make chaos` runs all of them, long.
"""
