"""Recording episodes that step independently, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from support.examples import make_manifest, make_module

from headrace.actors.recording.episode_recorder import EpisodeRecorder
from headrace.actors.recording.step_result import Ending
from headrace.actors.recording.tracks import Episode, Track
from headrace.protocol.arrays import Array
from headrace.protocol.ended_episodes import AgentTotals
from headrace.protocol.errors import LocalProtocolError
from headrace.protocol.manifest import DEFAULT_MODULE, ColumnSpec, Manifest
from headrace.protocol.trajectory import ENV_T, Chunk, TrajectoryBatch, pack_batch, unpack_batch

OVER = Ending(terminated=True, truncated=False)
CUT_OFF = Ending(terminated=False, truncated=True)


@dataclass
class Writer:
    """Writes steps whose observations count up, with actions ten times as large."""

    recorder: EpisodeRecorder
    seen: int = 0
    missed: int = 0

    def see(self) -> dict[str, Array]:
        self.seen += 1
        return {"obs": np.array([[self.seen]], np.float32)}

    def step(self, track: Track, *, is_recorded: bool = True) -> None:
        """Observes and acts; the step stays in progress."""
        observations = self.see()
        self.missed += self.recorder.observe(track, observations)
        outputs = {"actions": np.array([10 * self.seen])}
        self.recorder.act(track, observations, outputs, is_recorded=is_recorded)
        track.episode.env_t += 1
        track.reward(float(self.seen))

    def end(self, track: Track, ending: Ending = OVER) -> None:
        self.missed += self.recorder.end(track, self.see(), ending)

    def take(self) -> list[Chunk]:
        batch, env_steps = self.recorder.take_batch()
        assert env_steps <= batch.agent_steps
        return chunks_of(batch)


def chunks_of(batch: TrajectoryBatch) -> list[Chunk]:
    return list(unpack_batch(pack_batch(batch)))


def column(chunk: Chunk, name: str) -> list[float]:
    return chunk.columns[name].reshape(-1).tolist()


@pytest.fixture
def writer() -> Writer:
    return Writer(EpisodeRecorder(clock=lambda: 7.0))


def track(agent: str = "default_agent", module: str = DEFAULT_MODULE) -> Track:
    return Track(Episode(5.0, is_recorded=True), agent, module)


def test_an_episode_is_one_chunk(writer: Writer) -> None:
    one = track()
    for _ in range(3):
        writer.step(one)
    writer.end(one)
    [chunk] = writer.take()
    assert column(chunk, "obs") == [1, 2, 3, 4]
    assert column(chunk, "actions") == [10, 20, 30]
    assert column(chunk, "rewards") == [1, 2, 3]
    assert (chunk.terminated, chunk.truncated) == (True, False)
    assert (chunk.episode_return, chunk.episode_length, chunk.episode_s) == (6.0, 3, 2.0)
    assert writer.recorder.env_steps == 0


def test_a_step_in_progress_goes_into_the_next_batch(writer: Writer) -> None:
    one = track()
    writer.step(one)
    writer.step(one)
    [first] = writer.take()
    assert (column(first, "obs"), column(first, "actions")) == ([1, 2], [10])
    assert not first.is_done
    writer.end(one, CUT_OFF)
    [second] = writer.take()
    assert (column(second, "obs"), column(second, "actions")) == ([2, 3], [20])
    assert (second.t_started, second.episode_length) == (1, 2)
    assert (second.terminated, second.truncated) == (False, True)
    assert first.episode_id == second.episode_id


def test_several_episodes_share_a_batch(writer: Writer) -> None:
    one, other = track(), track()
    writer.step(one)
    writer.step(other)
    writer.step(one)
    writer.step(other)
    writer.end(one)
    first, second = writer.take()
    assert [column(first, "obs"), column(second, "obs")] == [[1, 3, 5], [2, 4]]
    assert first.is_done
    assert not second.is_done


def test_a_chunk_includes_its_lookback(writer: Writer) -> None:
    writer.recorder.adopt(make_manifest(module=msgspec.structs.replace(make_module(), lookback=2)))
    one = track()
    for _ in range(4):
        writer.step(one)
    writer.take()
    writer.step(one)
    writer.end(one)
    [chunk] = writer.take()
    assert (chunk.lookback, chunk.length, chunk.t_started) == (2, 2, 3)
    assert column(chunk, "obs") == [2, 3, 4, 5, 6]


def test_unrecorded_steps_leave_a_gap(writer: Writer) -> None:
    one = track()
    writer.step(one)
    writer.step(one)
    writer.step(one, is_recorded=False)
    writer.step(one, is_recorded=False)
    writer.step(one)
    writer.end(one)
    before, after = writer.take()
    assert (column(before, "obs"), before.t_started, before.is_done) == ([1, 2, 3], 0, False)
    assert (column(after, "obs"), after.t_started, after.is_done) == ([5, 6], 4, True)
    assert (after.episode_return, after.episode_length) == (15.0, 5)
    assert writer.missed == 2


def test_an_episode_not_for_training_records_and_misses_nothing(
    writer: Writer,
) -> None:
    own = Track(Episode(0.0, is_recorded=False), "default_agent", DEFAULT_MODULE)
    writer.step(own)
    writer.step(own)
    writer.end(own)
    assert (writer.recorder.env_steps, writer.missed) == (0, 0)
    with pytest.raises(LocalProtocolError, match="at least one step"):
        writer.recorder.take_batch()


def test_a_batch_has_the_task_that_all_of_its_episodes_share(writer: Writer) -> None:
    easy, hard = (Track(Episode(0.0, task=task), "a", DEFAULT_MODULE) for task in ("easy", "hard"))
    assert writer.recorder.task is None
    writer.step(easy)
    writer.step(easy)
    assert writer.recorder.task == "easy"
    writer.step(hard)
    writer.step(hard)
    assert writer.recorder.task is None
    writer.take()
    writer.end(easy)
    writer.take()
    writer.end(hard)
    assert writer.recorder.task == "hard"


def test_agents_of_one_episode_have_separate_chunks_by_module(writer: Writer) -> None:
    episode = Episode(0.0, is_recorded=True)
    prey = Track(episode, "prey", "runs")
    hunters = [Track(episode, f"hunter-{n}", "hunts") for n in range(2)]
    for agent in (prey, *hunters):
        writer.step(agent)
        episode.env_t -= 1  # they act at the same time
    episode.env_t += 1
    for agent in (prey, *hunters):
        writer.end(agent)
    assert writer.recorder.env_steps == 1
    batch, env_steps = writer.recorder.take_batch()
    assert (env_steps, batch.agent_steps) == (1, 3)
    assert {name: part.chunks.agents for name, part in batch.modules.items()} == {
        "runs": ("prey",),
        "hunts": ("hunter-0", "hunter-1"),
    }
    assert len({chunk.episode_id for chunk in chunks_of(batch)}) == 1
    assert {chunk.env_t_started for chunk in chunks_of(batch)} == {0}


def test_a_chunk_has_the_env_step_at_which_its_agent_began(writer: Writer) -> None:
    episode = Episode(0.0, is_recorded=True)
    often, seldom = Track(episode, "often", "m"), Track(episode, "seldom", "m")
    writer.step(often)
    writer.step(often)
    writer.step(seldom)
    writer.end(seldom)
    writer.end(often)
    chunks = {chunk.agent_id: chunk for chunk in writer.take()}
    assert (chunks["seldom"].env_t_started, chunks["seldom"].t_started) == (2, 0)


def test_a_discarded_batch_leaves_a_gap_and_the_episode_continues(writer: Writer) -> None:
    one = track()
    writer.step(one)
    writer.step(one)
    assert writer.recorder.discard_batch() == 1
    writer.end(one)
    [chunk] = writer.take()
    assert (chunk.t_started, chunk.length, chunk.episode_length) == (1, 1, 2)


def test_another_manifest_discards_what_was_recorded_for_the_previous_one(writer: Writer) -> None:
    one = track()
    writer.step(one)
    writer.step(one)
    writer.recorder.adopt(make_manifest())
    assert writer.recorder.env_steps == 0
    writer.step(one)
    writer.end(one)
    [chunk] = writer.take()
    assert (chunk.t_started, column(chunk, "obs")) == (2, [3, 4])


def test_an_agent_that_leaves_without_an_end_keeps_its_steps(writer: Writer) -> None:
    one = track()
    writer.step(one)
    writer.step(one)
    writer.recorder.forget(one)
    [chunk] = writer.take()
    assert (chunk.length, chunk.is_done) == (1, False)
    with pytest.raises(LocalProtocolError, match="before its first action"):
        track().reward(1.0)


def make_timed_manifest(**modules: int) -> Manifest:
    """A manifest of several agents, with the lookback of each module."""
    columns = (*make_module().columns, ColumnSpec(ENV_T, "int64", ()))
    return msgspec.structs.replace(
        make_manifest(),
        multi_agent=True,
        modules={n: make_module(columns=columns, lookback=k) for n, k in modules.items()},
    )


def test_agents_record_the_env_step_of_each_observation(writer: Writer) -> None:
    writer.recorder.adopt(make_timed_manifest(m=1))
    episode = Episode(5.0, is_recorded=True)
    often, seldom = Track(episode, "often", "m"), Track(episode, "seldom", "m")
    writer.recorder.act(seldom, writer.see(), {"actions": np.array([0])}, is_recorded=True)
    for _ in range(3):
        writer.step(often)
    writer.step(seldom)
    first, second = writer.take()
    assert [first.agent_id, column(first, "env_t")] == ["often", [0, 1, 2]]
    assert [second.agent_id, column(second, "env_t")] == ["seldom", [0, 3]]
    writer.end(often)
    writer.end(seldom)
    last_often, last_seldom = writer.take()
    assert column(last_often, "env_t") == [1, 2, 4]
    assert column(last_seldom, "env_t") == [0, 3, 4]


def test_the_end_of_a_multi_agent_episode_is_reported_once(writer: Writer) -> None:
    writer.recorder.adopt(make_timed_manifest(m=0, n=0))
    episode = Episode(5.0, is_recorded=True)
    early, late = Track(episode, "early", "m"), Track(episode, "late", "n")
    writer.step(early)
    writer.end(early)
    writer.step(late)
    writer.take()
    writer.step(late)
    writer.end(late)
    writer.recorder.end_episode(episode, truncated=False)
    batch, _ = writer.recorder.take_batch()
    [chunk] = chunks_of(batch)
    ended = batch.ended[chunk.episode_id]
    assert (ended.env_steps, ended.episode_s, ended.truncated) == (3, 2.0, False)
    assert ended.agents == (AgentTotals("early", "m", 1, 1.0), AgentTotals("late", "n", 2, 7.0))


def test_an_unrecorded_episode_reports_no_end(writer: Writer) -> None:
    writer.recorder.adopt(make_timed_manifest(m=0))
    unseen, other = track("a", "m"), track("b", "m")
    writer.step(unseen, is_recorded=False)
    writer.step(other)
    writer.end(unseen)
    writer.recorder.end_episode(unseen.episode, truncated=True)
    writer.end(other)
    assert not writer.recorder.take_batch()[0].ended
