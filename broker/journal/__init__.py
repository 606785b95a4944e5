"""Batches on disk: the journal that a restarted broker resumes from, and dead letters.

May import `state`, for what a batch is, and `protocol`. It knows files and threads, and nothing of
actors or learners.
"""
