"""Turns batches into RLlib's episodes: segments, joined, cut and buffered. Pure.

May import `spaces` and `protocol`; uses no socket, clock, thread, file or log.
"""
