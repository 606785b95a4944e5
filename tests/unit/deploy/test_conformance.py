"""The conformance kit's checks, without a client."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from support.conformance_graph import GRAPH, make_graph

from headrace.actors.policy.onnx_policy import OnnxPolicy
from headrace.actors.recording.step_result import StepResult
from headrace.actors.recording.vector_recorder import VectorRecorder
from headrace.deploy.conformance.behaviour import FIRST_VERSION
from headrace.deploy.conformance.episodes import EpisodeWatch
from headrace.deploy.conformance.observer import Observer
from headrace.deploy.conformance.policy import LOOKBACK, make_policy, make_weights
from headrace.deploy.conformance.violations import Section, Violation
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
    """Batches of `lengths` steps from one environment whose episodes have `ends_after` steps."""
    recorder = VectorRecorder(1, lambda: 0.0, LOOKBACK)
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
    """The same batch with other integers in its first chunk."""
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


def test_whole_episodes_across_batches_pass() -> None:
    assert watch(*recorded([5, 1, 7, 30, 2], ends_after=11)).missing_env_steps == 0


def test_missing_steps_are_counted() -> None:
    first, _, third = recorded([5, 3, 5], ends_after=100)
    assert watch(first, third).missing_env_steps == 3


def test_repeated_steps_are_a_violation() -> None:
    first, second, third = recorded([5, 3, 5], ends_after=100)
    with pytest.raises(Violation, match="starts at step 5, although 13 were delivered"):
        watch(first, second, third, second)


def test_different_observations_where_chunks_meet_are_a_violation() -> None:
    first, second = recorded([5, 5], ends_after=100)
    second.modules[DEFAULT_MODULE].columns["obs"][LOOKBACK] += 1
    with pytest.raises(Violation, match="does not start with the observations"):
        watch(first, second)


def test_an_episode_that_continues_after_its_end_is_a_violation() -> None:
    (batch,) = recorded([5], ends_after=5)
    with pytest.raises(Violation, match="follows the episode's end"):
        watch(batch, batch)


def test_a_wrong_length_at_the_end_is_a_violation() -> None:
    (batch,) = recorded([5], ends_after=5)
    with pytest.raises(Violation, match="ended after 5 steps but reports 6"):
        watch(edited(batch, episode_length=6))


def test_a_wrong_return_at_the_end_is_a_violation() -> None:
    (batch,) = recorded([5], ends_after=5)
    batch.modules[DEFAULT_MODULE].columns["rewards"][2] = 3.0
    with pytest.raises(Violation, match=r"a return of 5\.0, but its rewards sum to 7\.0"):
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
        self.observer.note_delivery(Delivery(1, 7, 0, 0, Totals(), credit))

    def say(self, message: ActorMessage, *payloads: bytes) -> None:
        self.observer.check([encode_header(message), *payloads])

    def send(self, seq: int, payload: bytes = b"any", **header: Any) -> None:
        fields: dict[str, Any] = {"run": "run", "version": FIRST_VERSION, "env_steps": 5, **header}
        self.say(Trajectories(**SENDER, seq=seq, **fields), payload)


def fault_of(section: Section, say: Any) -> str:
    with pytest.raises(Violation) as caught:
        say()
    assert caught.value.section is section
    return caught.value.sentence


def test_a_correct_actor_causes_no_violation() -> None:
    said = Conversation()
    for seq in (1, 2, 3):
        said.send(seq)
    said.send(2, sent_before=True)
    said.say(Alive(**SENDER, last_seq=3))
    said.say(Goodbye(**SENDER, last_seq=3))


@pytest.mark.parametrize(
    ("section", "reason", "say"),
    [
        (Section.DELIVERY, "seqs must have no gaps", lambda said: said.send(2)),
        (Section.DELIVERY, "sent_before on batch 1", lambda said: said.send(1, sent_before=True)),
        (Section.DELIVERY, "after 6 env steps", lambda said: said.send(1, env_steps=6)),
        (Section.MESSAGES, "never published", lambda said: said.send(1, run="another")),
        (Section.DELIVERY, "changed its incarnation", lambda said: said.say(Alive("a", 8))),
        (Section.DELIVERY, "actor id from 'a' to 'b'", lambda said: said.say(Alive("b", 7))),
        (
            Section.DELIVERY,
            "reports batches up to 1 as acknowledged, although the broker acknowledged 0",
            lambda said: said.say(Alive(**SENDER, acknowledged=1, totals=Totals(1))),
        ),
        (
            Section.MESSAGES,
            "totals of 2 batches, but 0 acknowledged",
            lambda said: said.say(Alive(**SENDER, totals=Totals(2))),
        ),
        (Section.FRAMES, "cannot be decoded", lambda said: said.observer.check([b"\xc1"])),
    ],
)
def test_a_violation_names_its_section(section: Section, reason: str, say: Any) -> None:
    said = Conversation()
    assert reason in fault_of(section, lambda: say(said))


def test_a_batch_with_old_weights_needs_credit_that_allows_them() -> None:
    said = Conversation()
    said.send(1)
    said.grant(4, PolicyVersion(1, 2))
    said.send(2)  # begun under the first grant
    said.send(3)
    assert "requires at least 1.2" in fault_of(Section.DELIVERY, lambda: said.send(4))


def test_a_repeated_batch_must_be_identical() -> None:
    said = Conversation()
    said.send(1)
    reason = fault_of(Section.DELIVERY, lambda: said.send(1, b"other", sent_before=True))
    assert "different content" in reason


def test_a_message_after_a_goodbye_is_a_violation() -> None:
    said = Conversation()
    said.say(Goodbye(**SENDER))
    assert "after its goodbye" in fault_of(Section.DELIVERY, lambda: said.say(Alive(**SENDER)))


def test_missing_steps_that_presence_does_not_count_are_a_violation() -> None:
    said = Conversation()
    _, second = recorded([5, 5], ends_after=100)
    payload = pack_batch(second)
    said.send(1, payload)
    header = said.observer.heard[-1]
    assert isinstance(header, Trajectories)
    said.observer.accept(header, payload)
    reason = fault_of(Section.DELIVERY, lambda: said.say(Alive(**SENDER, last_seq=1)))
    assert "reports 0 unrecorded env steps, although 5 are missing" in reason
    said.say(Alive(**SENDER, last_seq=1, unrecorded_env_steps=5))


def test_the_kits_policy_runs() -> None:
    assert GRAPH.read_bytes() == make_graph().SerializeToString()
    graph = POLICY.manifest.modules[DEFAULT_MODULE].graph
    policy = OnnxPolicy(GRAPH.read_bytes(), graph, np.random.default_rng(1))
    policy.set_weights(decode_payload(make_weights(1))[DEFAULT_MODULE])
    onnx.checker.check_model(onnx.load(GRAPH))
    assert msgspec.msgpack.decode(POLICY.frame)["manifest"]["run"] == "run"
