"""The loop of `headrace learner`: run files, the algorithm's config, checkpoints and curves.

May import `runner` and what that may import.
"""
