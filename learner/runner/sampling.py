"""How each kind of RLlib algorithm takes its data: flow control, amounts and timeouts."""

from __future__ import annotations

import abc
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig

from headrace.learner.config import RunnerConfig
from headrace.learner.connection.link import BrokerLink
from headrace.learner.episodes.segment_buffer import SegmentBuffer
from headrace.learner.episodes.segments import EpisodeSegment
from headrace.protocol.batch_sizes import env_step_bytes
from headrace.protocol.errors import ConfigError
from headrace.protocol.flow_control import AsynchronousFlow, Flow, OffPolicyFlow, OnPolicyFlow
from headrace.protocol.limits import MIB
from headrace.protocol.manifest import Manifest

_OFF_POLICY_PUBLISH_S = 1.0
_SAMPLED_BYTES = 192 * MIB
"""What all runners together return at once: half of what a broker holds by default."""

Clock = Callable[[], float]


@dataclass(frozen=True)
class SampleRequest:
    """What one `sample()` asks for.

    Attributes:
        most_env_steps: how many it should return at most, to bound memory.
        timeout_s: after which it returns less.
    """

    env_steps: int
    most_env_steps: int
    timeout_s: float


class Sampling(abc.ABC):
    """How one kind of algorithm takes its data.

    Attributes:
        flow: the flow control that the manifest asks of the broker.
        publish_interval_s: shortest time between two published versions.
    """

    flow: Flow
    publish_interval_s = 0.0

    @abc.abstractmethod
    def note_version(self) -> None:
        """Records that weights were published."""

    @abc.abstractmethod
    def take(
        self, link: BrokerLink, buffer: SegmentBuffer, request: SampleRequest
    ) -> list[EpisodeSegment]:
        """Returns the segments of one `sample()`.

        Raises:
            LearnerStopping: the run is stopping.
            RefusedError: the broker will not serve this learner.
        """


class WholeBatches(Sampling):
    """For algorithms that collect and train in turn (PPO).

    All leased data is returned at once, so that none is kept for a later update and becomes older
    than the flow allows.
    """

    def __init__(self, flow: OnPolicyFlow) -> None:
        self.flow = flow
        self._returned_steps = 0

    def take(
        self, link: BrokerLink, buffer: SegmentBuffer, request: SampleRequest
    ) -> list[EpisodeSegment]:
        """Returns what earlier calls left of the request, or a part of it.

        A part is what arrived in time, or what memory allows: the broker keeps what a call returns
        until the next one confirms it. RLlib calls again until it has enough.
        """
        missing = request.env_steps - self._returned_steps
        for batch in link.take(min(missing, request.most_env_steps), request.timeout_s):
            buffer.add(batch)
        self._returned_steps += buffer.env_steps
        if self._returned_steps >= request.env_steps:
            self._returned_steps = 0
        return buffer.take(buffer.env_steps)

    def note_version(self) -> None:
        """Begins an update, whatever was returned of the one before."""
        self._returned_steps = 0


class ExactFragments(Sampling):
    """For algorithms that depend on the exact amount, which is prefetched while they train.

    IMPALA and APPO form train batches by counting results of `sample()`, whatever their size; DQN's
    and SAC's ratio of updates to samples also depends on it. Segments are cut to fit.
    """

    def __init__(
        self,
        flow: AsynchronousFlow | OffPolicyFlow,
        *,
        publish_interval_s: float = 0.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.flow = flow
        self.publish_interval_s = publish_interval_s
        self._clock = clock

    def take(
        self, link: BrokerLink, buffer: SegmentBuffer, request: SampleRequest
    ) -> list[EpisodeSegment]:
        """Returns exactly what is asked for, or nothing if it does not arrive in time."""
        env_steps, deadline_s = request.env_steps, self._clock() + request.timeout_s
        while buffer.env_steps < env_steps:
            batches = link.take(env_steps - buffer.env_steps, deadline_s - self._clock())
            if not batches:
                return []
            for batch in batches:
                buffer.add(batch)
        taken = buffer.take(env_steps)
        if buffer.env_steps < env_steps:
            link.request(env_steps - buffer.env_steps)
        return taken

    def note_version(self) -> None:
        """Changes nothing: what is wanted does not depend on versions."""


class Uninterrupted(ExactFragments):
    """For algorithms that fail on an empty result of `sample()`: waits without limit."""

    def take(
        self, link: BrokerLink, buffer: SegmentBuffer, request: SampleRequest
    ) -> list[EpisodeSegment]:
        """Returns exactly what is asked for; the link logs the reason for waiting."""
        patient = dataclasses.replace(request, timeout_s=float("inf"))
        return super().take(link, buffer, patient)


def sampling_of(config: AlgorithmConfig, own: RunnerConfig = RunnerConfig()) -> Sampling:
    """Returns how an algorithm takes its data.

    Raises:
        ConfigError: the algorithm is not supported.
    """
    runners, lag = max(1, config.num_env_runners or 0), own.max_policy_lag
    match config:
        case PPOConfig():
            # Data produced while the learner trains is one version old when it is used.
            lag = 1 if lag is None else lag
            flow = OnPolicyFlow(
                config.total_train_batch_size, overlap=min(1.0, lag), max_policy_lag=lag
            )
            return WholeBatches(flow)
        case IMPALAConfig():  # APPO's config is a subclass
            version = config.total_train_batch_size * int(config.broadcast_interval or 1)
            lag = 16 if lag is None else lag
            return Uninterrupted(
                AsynchronousFlow(version, max_policy_lag=lag),
                publish_interval_s=own.publish_interval_s or 0.0,
            )
        case DQNConfig() | SACConfig():
            interval_s = own.publish_interval_s
            return ExactFragments(
                OffPolicyFlow(runners * fragment_env_steps(config), max_policy_lag=lag),
                publish_interval_s=_OFF_POLICY_PUBLISH_S if interval_s is None else interval_s,
            )
        case _:
            name = type(config).__name__.removesuffix("Config")
            raise ConfigError(
                f"{name} cannot be trained through the broker; PPO, APPO, IMPALA, DQN and SAC can"
            )


def fragment_env_steps(config: AlgorithmConfig, worker_index: int = 0) -> int:
    """Returns the env steps that RLlib expects of one `sample()`."""
    length = config.get_rollout_fragment_length(worker_index)
    return int(length) * (config.num_envs_per_env_runner or 1)


def make_request(
    config: AlgorithmConfig, worker_index: int, manifest: Manifest, timeout_s: float
) -> SampleRequest:
    """Returns what a runner's `sample()` asks for."""
    runners = max(1, config.num_env_runners or 0)
    most = max(1, _SAMPLED_BYTES // runners // env_step_bytes(manifest))
    return SampleRequest(fragment_env_steps(config, worker_index), most, timeout_s)
