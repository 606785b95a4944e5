"""Batches become RLlib's episodes: segments, joined, cut and buffered. Pure.

May import `spaces` and `protocol`: no socket, clock, thread, file or log.
"""
