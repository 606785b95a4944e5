"""Kept for checkpoints that name this module; import `BrokerEnvRunner` from `headrace.learner`."""

from headrace.learner.runner.env_runner import BrokerEnvRunner

__all__ = ["BrokerEnvRunner"]
