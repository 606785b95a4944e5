"""Gymnasium, PettingZoo and RLlib environments, and the collectors that step them.

May import `agents` and what that may import.
"""
