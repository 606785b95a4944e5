"""The judgements of the conformance kit, without a client."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from support.conformance_graph import GRAPH, make_graph

from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.actors.recording.step_result import StepResult
from headrace.actors.recording.vector_recorder import BatchRecorder
from headrace.deploy.conformance.conduct import FIRST_VERSION
from headrace.deploy.conformance.episodes import EpisodeWatch
from headrace.deploy.conformance.faults import ClientFault, Section
from headrace.deploy.conformance.observer import Observer
from headrace.deploy.conformance.policy import LOOKBACK, make_policy, make_weights
from headrace.protocol.arrays import Array
from headrace.protocol.identity import PolicyVersion
from headrace.protocol.manifest import DEFAULT_MODULE
from headrace.protocol.messages import (
    ActorMessage,
    Alive,
    Credit,
    Delivery,
    Goodbye,
    Hello,
    Totals,
    Trajectories,
)
from headrace.protocol.messages.headers import encode_header
from headrace.protocol.payload import decode_payload
from headrace.protocol.trajectory import (
    ChunkTable,
    ModuleTrajectories,
    TrajectoryBatch,
    pack_batch,
)

POLICY = make_policy("run")
SENDER: dict[str, Any] = {"actor": "a", "incarnation": 7}


def recorded(lengths: list[int], *, ends_after: int) -> list[TrajectoryBatch]:
    """Batches of so many steps, of one environment whose episodes have `ends_after` steps."""
    recorder = BatchRecorder(1, lambda: 0.0, LOOKBACK)
    step, batches = 0, []
    for length in lengths:
        for _ in range(length):
            before, step = observation(step), step + 1
            is_over = np.array([step % ends_after == 0])
            result = StepResult(
                {"obs": observation(step)},
                np.ones(1, np.float32),
                terminated=is_over,
                truncated=np.zeros(1, bool),
                final_observations={0: {"obs": observation(step)[0]}} if is_over[0] else {},
            )
            recorder.record({"obs": before}, {"actions": np.zeros(1, np.int64)}, result)
        batches.append(recorder.take_batch({"obs": observation(step)})[0])
    return batches


def observation(step: int) -> Array:
    return np.full((1, 4), step, np.float32)


def edited(batch: TrajectoryBatch, **integers: int) -> TrajectoryBatch:
    """The same with other numbers in its first chunk."""
    part = batch.modules[DEFAULT_MODULE]
    table, names = part.chunks.integers.copy(), ["agent", "env_t_started", "t_started", "length"]
    names += ["lookback", "terminated", "truncated", "episode_length"]
    for name, value in integers.items():
        table[0, names.index(name)] = value
    chunks = ChunkTable(part.chunks.agents, part.chunks.episode_id, table, part.chunks.floats)
    return TrajectoryBatch({DEFAULT_MODULE: ModuleTrajectories(chunks, part.columns)})


def watch(*batches: TrajectoryBatch) -> EpisodeWatch:
    episodes = EpisodeWatch()
    for batch in batches:
        episodes.watch(batch, POLICY.manifest)
    return episodes


def test_whole_episodes_over_many_batches_are_no_fault() -> None:
    assert watch(*recorded([5, 1, 7, 30, 2], ends_after=11)).missing_env_steps == 0


def test_a_hole_in_an_episode_is_counted() -> None:
    first, _, third = recorded([5, 3, 5], ends_after=100)
    assert watch(first, third).missing_env_steps == 3


def test_steps_that_come_twice_are_a_fault() -> None:
    first, second, third = recorded([5, 3, 5], ends_after=100)
    with pytest.raises(ClientFault, match="goes on at step 5, where 13 were delivered"):
        watch(first, second, third, second)


def test_other_observations_at_the_seam_are_a_fault() -> None:
    first, second = recorded([5, 5], ends_after=100)
    second.modules[DEFAULT_MODULE].columns["obs"][LOOKBACK] += 1
    with pytest.raises(ClientFault, match="goes on with other observations"):
        watch(first, second)


def test_an_episode_that_lives_on_is_a_fault() -> None:
    (batch,) = recorded([5], ends_after=5)
    with pytest.raises(ClientFault, match="goes on after its end"):
        watch(batch, batch)


def test_a_wrong_length_at_the_end_is_a_fault() -> None:
    (batch,) = recorded([5], ends_after=5)
    with pytest.raises(ClientFault, match="ended after 5 steps and says 6"):
        watch(edited(batch, episode_length=6))


def test_a_wrong_return_at_the_end_is_a_fault() -> None:
    (batch,) = recorded([5], ends_after=5)
    batch.modules[DEFAULT_MODULE].columns["rewards"][2] = 3.0
    with pytest.raises(ClientFault, match=r"a return of 5\.0; its rewards make 7\.0"):
        watch(batch)


class Conversation:
    """An observer that has published, granted three batches and heard a hello."""

    def __init__(self) -> None:
        self.observer = Observer()
        self.observer.publish(POLICY.manifest, FIRST_VERSION)
        self.grant(3)
        self.say(Hello(**SENDER))

    def grant(self, up_to: int, min_version: PolicyVersion = FIRST_VERSION) -> None:
        credit = Credit(up_to, 5, 1.0, min_version)
        self.observer.tell(Delivery(1, 7, 0, 0, Totals(), credit))

    def say(self, message: ActorMessage, *payloads: bytes) -> None:
        self.observer.hear([encode_header(message), *payloads])

    def send(self, seq: int, payload: bytes = b"any", **header: Any) -> None:
        fields: dict[str, Any] = {"run": "run", "version": FIRST_VERSION, "env_steps": 5, **header}
        self.say(Trajectories(**SENDER, seq=seq, **fields), payload)


def fault_of(section: Section, say: Any) -> str:
    with pytest.raises(ClientFault) as caught:
        say()
    assert caught.value.section is section
    return caught.value.sentence


def test_an_honest_actor_is_heard_without_a_word() -> None:
    said = Conversation()
    for seq in (1, 2, 3):
        said.send(seq)
    said.send(2, sent_before=True)
    said.say(Alive(**SENDER, last_seq=3))
    said.say(Goodbye(**SENDER, last_seq=3))


@pytest.mark.parametrize(
    ("section", "reason", "say"),
    [
        (Section.DELIVERY, "numbers have no gaps", lambda said: said.send(2)),
        (Section.DELIVERY, "sent_before of batch 1", lambda said: said.send(1, sent_before=True)),
        (Section.DELIVERY, "after 6 env steps", lambda said: said.send(1, env_steps=6)),
        (Section.MESSAGES, "never published", lambda said: said.send(1, run="another")),
        (Section.DELIVERY, "changed its incarnation", lambda said: said.say(Alive("a", 8))),
        (Section.DELIVERY, "called itself 'a' and then 'b'", lambda said: said.say(Alive("b", 7))),
        (
            Section.DELIVERY,
            "takes batches up to 1 for acknowledged, and was told 0",
            lambda said: said.say(Alive(**SENDER, acknowledged=1, totals=Totals(1))),
        ),
        (
            Section.MESSAGES,
            "totals of 2 batches, with 0 acknowledged",
            lambda said: said.say(Alive(**SENDER, totals=Totals(2))),
        ),
        (Section.FRAMES, "cannot be read", lambda said: said.observer.hear([b"\xc1"])),
    ],
)
def test_what_breaks_a_rule_is_told_with_its_section(
    section: Section, reason: str, say: Any
) -> None:
    said = Conversation()
    assert reason in fault_of(section, lambda: say(said))


def test_a_batch_with_old_weights_needs_credit_that_allows_them() -> None:
    said = Conversation()
    said.send(1)
    said.grant(4, PolicyVersion(1, 2))
    said.send(2)  # begun under the first grant
    said.send(3)
    assert "asked for 1.2 at least" in fault_of(Section.DELIVERY, lambda: said.send(4))


def test_a_batch_that_comes_again_is_the_same() -> None:
    said = Conversation()
    said.send(1)
    reason = fault_of(Section.DELIVERY, lambda: said.send(1, b"other", sent_before=True))
    assert "another content" in reason


def test_nothing_follows_a_goodbye() -> None:
    said = Conversation()
    said.say(Goodbye(**SENDER))
    assert "after its goodbye" in fault_of(Section.DELIVERY, lambda: said.say(Alive(**SENDER)))


def test_holes_that_presence_does_not_count_are_a_fault() -> None:
    said = Conversation()
    _, second = recorded([5, 5], ends_after=100)
    payload = pack_batch(second)
    said.send(1, payload)
    header = said.observer.heard[-1]
    assert isinstance(header, Trajectories)
    said.observer.accept(header, payload)
    reason = fault_of(Section.DELIVERY, lambda: said.say(Alive(**SENDER, last_seq=1)))
    assert "counts 0 unrecorded env steps, where 5 are missing" in reason
    said.say(Alive(**SENDER, last_seq=1, unrecorded_env_steps=5))


def test_the_kits_policy_can_be_run() -> None:
    assert GRAPH.read_bytes() == make_graph().SerializeToString()
    graph = POLICY.manifest.modules[DEFAULT_MODULE].graph
    policy = OnnxPolicy(GRAPH.read_bytes(), graph, np.random.default_rng(1))
    policy.set_weights(decode_payload(make_weights(1))[DEFAULT_MODULE])
    onnx.checker.check_model(onnx.load(GRAPH))
    assert msgspec.msgpack.decode(POLICY.frame)["manifest"]["run"] == "run"
