"""RLlib's own runner and RLlib's own external clients as actors. Needs Ray.

May import `connection`, `recording` and `protocol`.
"""
