"""Kept for checkpoints that name this module; see `headrace.learner.training`."""

from headrace.learner.training.module_mapping import ModuleMapping

__all__ = ["ModuleMapping"]
