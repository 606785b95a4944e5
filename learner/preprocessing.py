"""Kept for checkpoints that name this module; see `headrace.learner.training`."""

from headrace.learner.training.connector_factories import EnvToModule, LearnerStacking

__all__ = ["EnvToModule", "LearnerStacking"]
