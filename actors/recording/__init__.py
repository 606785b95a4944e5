"""Steps become trajectory batches: recorders, tracks of agents, and the life of a batch.

May import `connection` and `protocol`; opens no socket and reads no clock of its own.
"""
