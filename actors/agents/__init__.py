"""Agents that act and record for a simulator that owns its loop.

May import `connection`, `policy`, `recording` and `protocol`.
"""
