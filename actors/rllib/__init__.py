"""RLlib's own env runner and external clients as actors. Needs Ray.

May import `connection`, `recording`, `simulators` and `protocol`.
"""
