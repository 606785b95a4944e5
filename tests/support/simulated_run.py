"""A run in virtual time: the real state machines of learner, brokers and actors, without sockets.

Messages take `latency_s`, actors `1 / speed` per env step, and updates `update_s`. Nothing sleeps.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from headrace.actors.connection.config import ClientConfig
from headrace.actors.connection.session import ActorSession, PushedBatch
from headrace.broker.config import RouterConfig
from headrace.broker.routing.effects import PublishControl, PublishWeights, SendToLearner
from headrace.broker.routing.router import Router
from headrace.learner.connection.broker_sessions import BrokerSessions
from headrace.learner.connection.leased_batches import LeasedBatch
from headrace.learner.connection.session import LearnerIdentity
from headrace.learner.connection.weights_offer import OfferedWeights
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.messages import Credit
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.topics import BEACON, delivery_topic, snapshot_topic, weights_topic
from support.examples import RUN, make_manifest, make_policy_frame, make_weights_frame

Action = Callable[[], None]
Frames = Sequence[bytes | memoryview]
_TICK_S = 0.1


class Timeline:
    """Events in the order of their time."""

    def __init__(self) -> None:
        self._events: list[tuple[float, int, Action]] = []
        self._order = count()
        self.now_s = 0.0

    def after(self, seconds: float, action: Action) -> None:
        heapq.heappush(self._events, (self.now_s + seconds, next(self._order), action))

    def every(self, seconds: float, action: Action) -> None:
        def again() -> None:
            action()
            self.after(seconds, again)

        self.after(seconds, again)

    def run_until(self, end: Callable[[], bool], limit_s: float) -> None:
        while not end():
            self.now_s, _, action = heapq.heappop(self._events)
            assert self.now_s < limit_s, f"not within {limit_s} virtual seconds"
            action()


@dataclass
class OpenBatch:
    """What an actor is recording."""

    version: PolicyVersion
    credit: Credit
    begun_s: float


class SimulatedActor:
    """An actor that steps as fast as its simulator, while it has credit."""

    def __init__(
        self,
        name: str,
        speed: float,
        broker: SimulatedBroker,
        timeline: Timeline,
        rng: random.Random,
    ) -> None:
        self.name, self.speed = name, speed
        self._broker = broker
        self._time = timeline
        self._rng = rng
        self.session = ActorSession(name, 1, "host", ClientConfig(), rng)
        self.versions: list[PolicyVersion] = []
        self._batch: OpenBatch | None = None
        self._has_discarded = False
        self.discarded_steps = 0
        self._turn = 0

    def join(self) -> None:
        self._broker.subscribe(self)
        self._pump()
        self._time.every(0.25, self._pump)

    def on_control(self, frames: Frames) -> None:
        self.session.on_control(frames, self._time.now_s)
        self._pump()

    def on_weights(self, frames: Frames) -> None:
        self.session.on_weights(frames)
        newest = self.session.newest_version
        if newest is not None and (not self.versions or self.versions[-1] != newest):
            self.versions.append(newest)
        if self._batch is not None and self._batch.version != newest:
            self._close_after_step(self._batch)
        self._pump()

    def _close_after_step(self, batch: OpenBatch) -> None:
        """Newer weights end a batch after the step in progress, when credit has arrived too."""
        steps = (self._time.now_s - batch.begun_s) * self.speed
        self._close_after((math.ceil(steps) - steps) / self.speed)

    def _close_after(self, seconds: float) -> None:
        """Closes the open batch then, unless something else has."""
        turn = self._turn

        def close() -> None:
            if self._turn == turn and self._batch is not None:
                self._close()
                self._pump()

        self._time.after(seconds, close)

    def _pump(self) -> None:
        now_s = self._time.now_s
        presence = self.session.next_presence(now_s)
        if presence is not None:
            self._broker.receive_from_actor(presence)
        while (due := self.session.next_batch(now_s)) is not None:
            self.session.mark_sent(due[0], now_s)
            self._broker.receive_from_actor(due[1])
        self._begin()

    def _begin(self) -> None:
        version, credit = self.session.newest_version, self.session.credit
        if self._batch is not None or version is None or credit is None:
            return
        if not self.session.may_begin():
            return
        self._batch = OpenBatch(version, credit, self._time.now_s)
        self._turn += 1
        jitter = self._rng.uniform(0.9, 1.1)
        full_s = min(credit.fragment_steps / self.speed * jitter, credit.fragment_s)
        self._close_after(max(full_s, 1 / self.speed))

    def _close(self) -> None:
        batch, self._batch = self._batch, None
        if batch is None:
            return
        self._turn += 1
        steps = round((self._time.now_s - batch.begun_s) * self.speed)
        steps = min(steps, batch.credit.fragment_steps)
        if steps:
            outdated = self.session.is_outdated(batch.version)
            self._has_discarded = outdated and not self._has_discarded
        if steps and self._has_discarded:
            self.discarded_steps += steps
        elif steps:
            self.session.push(PushedBatch(batch.version, RUN, steps, b"payload"))
        elif self.session.may_begin():
            self._begin()


class SimulatedBroker:
    """A router, its subscribers, and the time that messages take."""

    def __init__(self, number: int, timeline: Timeline, latency_s: float) -> None:
        self.number = number
        self._time = timeline
        self._latency_s = latency_s
        self._incarnations = count(1)
        self._actors: dict[str, SimulatedActor] = {}
        self._topics: dict[bytes, list[tuple[str, SimulatedActor]]] = defaultdict(list)
        self.learner: SimulatedLearner | None = None
        self.is_cut_off = self.is_down = False
        self.start()
        timeline.every(_TICK_S, self._tick)

    def start(self) -> None:
        """Starts without anything that an earlier incarnation knew."""
        incarnation = 1000 * self.number + next(self._incarnations)
        self.router = Router(RouterConfig(validates=False), incarnation, self._time.now_s)
        self.is_down = False
        for actor in self._actors.values():
            self._announce(actor)

    def subscribe(self, actor: SimulatedActor) -> None:
        self._actors[actor.name] = actor
        self._topics[delivery_topic(actor.name)].append(("control", actor))
        self._topics[BEACON].append(("control", actor))
        self._topics[snapshot_topic(actor.name)].append(("weights", actor))
        self._topics[weights_topic(RUN)].append(("weights", actor))
        self._announce(actor)

    def _announce(self, actor: SimulatedActor) -> None:
        now_s = self._time.now_s
        self.router.on_control_subscription(delivery_topic(actor.name), True, now_s)
        self.router.on_weights_subscription(snapshot_topic(actor.name), True, now_s)
        self._flush()

    def receive_from_actor(self, frames: Frames) -> None:
        def arrive() -> None:
            if not self.is_down:
                self.router.on_ingest(frames, self._time.now_s)
                self._flush()

        self._time.after(self._latency_s, arrive)

    def receive_from_learner(self, frames: Frames) -> None:
        def arrive() -> None:
            if not self.is_down and not self.is_cut_off:
                self.router.on_learner([b"L", *frames], self._time.now_s)
                self._flush()

        self._time.after(self._latency_s, arrive)

    def _tick(self) -> None:
        if not self.is_down:
            self.router.tick(self._time.now_s)
            self._flush()

    def _flush(self) -> None:
        for effect in self.router.take_effects(self._time.now_s):
            match effect:
                case PublishControl(topic, message):
                    self._publish(topic, [encode_header(message)])
                case PublishWeights(topic, message, payloads):
                    self._publish(topic, [encode_header(message), *payloads])
                case SendToLearner(_, message, payloads):
                    self._send_to_learner([encode_header(message), *payloads])
                case _:
                    pass

    def _publish(self, topic: bytes, frames: Frames) -> None:
        for endpoint, actor in self._topics[topic]:
            receive = actor.on_control if endpoint == "control" else actor.on_weights
            self._time.after(self._latency_s, partial(receive, frames))

    def _send_to_learner(self, frames: Frames) -> None:
        def arrive() -> None:
            if self.learner is not None and not self.is_cut_off:
                self.learner.receive(self.number, frames)

        self._time.after(self._latency_s, arrive)


class SimulatedLearner:
    """Collects a train batch, trains for a while, publishes, as PPO does."""

    def __init__(
        self,
        brokers: Sequence[SimulatedBroker],
        timeline: Timeline,
        train_batch: int,
        update_s: float,
        learner_run: str = "run-1",
        newest_epoch: int = 0,
    ) -> None:
        ids = count(1 + 1000 * newest_epoch)
        identity = LearnerIdentity(learner_run, 0, RUN, "host", newest_epoch=newest_epoch)
        self.sessions = BrokerSessions(identity, len(brokers), lambda: next(ids))
        self._brokers = brokers
        self._time = timeline
        self._train_batch, self._update_s = train_batch, update_s
        self._policy_frame, self._digest = make_policy_frame(make_manifest(batch=train_batch))
        self._is_collecting = False
        self.is_dead = False
        self.updates = 0
        self.update_ends_s: list[float] = []
        self.lags: Counter[int] = Counter()
        self.steps_by_actor: Counter[str] = Counter()
        self.batches: Counter[tuple[str, int]] = Counter()
        self.waited_s = 0.0
        self.messages = 0
        self._newest: LeasedBatch | None = None
        for broker in brokers:
            broker.learner = self
        timeline.every(0.05, self._pump)

    def start(self, number: int = 1) -> None:
        self._number = number
        self._offer()
        self._collect()

    def receive(self, broker: int, frames: Frames) -> None:
        if not self.is_dead:
            self.sessions.on_message(broker, frames, self._time.now_s)
            self._pump()

    def _pump(self) -> None:
        if self.is_dead:
            return
        if self._is_collecting and self.sessions.ready_env_steps >= self._train_batch:
            self._train()
        for broker, frames in self.sessions.outgoing(self._time.now_s):
            self.messages += 1
            self._brokers[broker].receive_from_learner([bytes(frame) for frame in frames])

    def _offer(self) -> None:
        number = self._number
        frame = make_weights_frame(float(number))
        self.sessions.offer(
            OfferedWeights(number, f"{number:08x}", self._digest, self._policy_frame, frame)
        )

    def _collect(self) -> None:
        self._is_collecting, self._asked_s = True, self._time.now_s
        self.sessions.request(self._train_batch, self._time.now_s)
        self._pump()

    def _train(self) -> None:
        self._is_collecting = False
        if self.updates:
            self.waited_s += self._time.now_s - self._asked_s
        while (batch := self.sessions.take()) is not None:
            lease = batch.lease
            self.lags[lease.policy_lag or 0] += lease.env_steps
            self.steps_by_actor[lease.actor] += lease.env_steps
            self.batches[lease.actor, lease.seq] += 1
            self._newest = batch
        self._time.after(self._update_s, self._finish_update)

    def _finish_update(self) -> None:
        if self.is_dead:
            return
        self.updates += 1
        self.update_ends_s.append(self._time.now_s)
        self._number += 1
        if self._newest is not None:
            self.sessions.confirm(self._newest)
        self._offer()
        self._collect()

    @property
    def lag_mean(self) -> float:
        return sum(lag * steps for lag, steps in self.lags.items()) / self.lags.total()

    @property
    def waiting_share(self) -> float:
        return self.waited_s / (self._time.now_s - self.update_ends_s[0])


@dataclass
class SimulatedRun:
    """One learner and its fleets.

    Attributes:
        fleets: speeds in env steps per second of the actors at each broker.
    """

    fleets: Sequence[Sequence[float]]
    train_batch: int = 4000
    update_s: float = 1.2
    latency_s: float = 0.001
    seed: int = 1
    timeline: Timeline = field(default_factory=Timeline)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.brokers = [
            SimulatedBroker(number, self.timeline, self.latency_s)
            for number in range(len(self.fleets))
        ]
        self.learner = self.make_learner()
        self.actors: list[SimulatedActor] = []
        for broker, speeds in zip(self.brokers, self.fleets, strict=True):
            for speed in speeds:
                name = f"a{len(self.actors)}"
                actor = SimulatedActor(name, speed, broker, self.timeline, rng)
                self.actors.append(actor)
                self.timeline.after(rng.uniform(0, 0.5), actor.join)

    def make_learner(self, learner_run: str = "run-1", newest_epoch: int = 0) -> SimulatedLearner:
        return SimulatedLearner(
            self.brokers, self.timeline, self.train_batch, self.update_s, learner_run, newest_epoch
        )

    def run_updates(self, updates: int, limit_s: float = 600.0) -> None:
        """Runs until the present learner has made so many updates."""
        self.timeline.run_until(lambda: self.learner.updates >= updates, limit_s)

    def run_for(self, seconds: float) -> None:
        end_s = self.timeline.now_s + seconds
        self.timeline.run_until(lambda: self.timeline.now_s >= end_s, end_s + 1)

    @property
    def stale_share(self) -> float:
        ledgers = [broker.router.status(self.timeline.now_s).ledger for broker in self.brokers]
        ended = sum(ledger.stale + ledger.consumed for ledger in ledgers)
        return sum(ledger.stale for ledger in ledgers) / ended

    @property
    def fairness(self) -> float:
        """Jain's index over the env steps that each actor delivered."""
        return jain([self.learner.steps_by_actor[actor.name] for actor in self.actors])


def jain(shares: Sequence[float]) -> float:
    """Returns Jain's index of fairness: 1 if all are equal."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
