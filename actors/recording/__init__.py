"""Turns steps into trajectory batches: recorders, agent tracks, and the batch lifecycle.

May import `connection` and `protocol`; opens no socket, and is given its clock.
"""
