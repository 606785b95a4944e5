"""A learner that publishes a policy for an example's spaces, and grants plenty of credit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.policies import Exported
from support.running import BrokerThread, Context, Learner
from support.serving import publish

from headrace.protocol.flow_control import OnPolicyFlow
from headrace.protocol.manifest import DEFAULT_MODULE

StartLearner = Callable[..., Learner]


@pytest.fixture
def start_learner(broker: BrokerThread, context: Context) -> Iterator[StartLearner]:
    """Publishes a policy to `broker`; no simulator waits for credit."""
    with ExitStack() as stack:

        def start(exported: Exported, wanted_env_steps: int = 10_000) -> Learner:
            learner = stack.enter_context(Learner(context, broker.address))
            flow = OnPolicyFlow(train_batch_env_steps=wanted_env_steps)
            publish(learner, {DEFAULT_MODULE: exported}, flow=flow)
            return learner

        yield start
