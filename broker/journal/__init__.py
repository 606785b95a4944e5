"""Batches on disk: the journal that a restarted broker resumes from, and dead letters.

May import `state`, for the batch type, and `protocol`. It knows about files and threads, and
nothing about actors or learners.
"""
