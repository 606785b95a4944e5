// Steps to chunks: lookback, episodes over several batches, endings.

#include <headrace/recording/recorder.hpp>

#include <cmath>
#include <limits>

#include "check.hpp"
#include "examples.hpp"

namespace {

using namespace headrace;
using Floats = std::vector<float>;

Array seen(float value) { return Array::of(Floats{value}); }

StepColumns acted(std::int64_t action) { return {{"actions", Array::scalar(action)}}; }

/// Records steps whose observations and rewards count up, the last with an ending.
void record(Recorder& recorder, int first, int steps, Ending ending = {}) {
  for (int at = first; at < first + steps; ++at) {
    const bool is_last = at == first + steps - 1;
    recorder.record(acted(at), static_cast<float>(at), seen(static_cast<float>(at + 1)),
                    is_last ? ending : Ending{});
  }
}

const ModuleTrajectories& only(const TrajectoryBatch& batch) { return batch.at(default_module); }

Floats floats_of(const TrajectoryBatch& batch, const std::string& column) {
  for (const Column& candidate : only(batch).columns) {
    if (candidate.name != column) continue;
    const auto* values = candidate.values.data<float>();
    return Floats(values, values + candidate.values.size());
  }
  throw std::runtime_error("no such column");
}

void a_batch_has_one_observation_more_than_steps() {
  Recorder recorder(example_module());
  recorder.start_episode(seen(0));
  record(recorder, 0, 3);
  CHECK(recorder.env_steps() == 3);
  const TrajectoryBatch batch = recorder.take_batch();
  CHECK((floats_of(batch, "obs") == Floats{0, 1, 2, 3}));
  CHECK((floats_of(batch, "rewards") == Floats{0, 1, 2}));
  CHECK(recorder.env_steps() == 0);
}

void an_episode_is_under_way_from_its_first_step_to_its_last() {
  Recorder recorder(example_module());
  recorder.start_episode(seen(0));
  CHECK(!recorder.is_within_episode());
  record(recorder, 0, 3);
  CHECK(recorder.is_within_episode());
  recorder.take_batch();
  CHECK(recorder.is_within_episode());
  record(recorder, 3, 1, {true, false});
  CHECK(!recorder.is_within_episode());
}

void an_episode_continues_in_the_next_batch_with_its_lookback() {
  Recorder recorder(example_module(2));
  recorder.start_episode(seen(0));
  record(recorder, 0, 3);
  const auto first = recorder.take_batch();
  record(recorder, 3, 2, {true, false});
  const auto second = recorder.take_batch();
  const Chunk& chunk = only(second).chunks.at(0);
  CHECK(chunk.episode_id == only(first).chunks.at(0).episode_id);
  CHECK(chunk.t_started == 3 && chunk.length == 2 && chunk.lookback == 2);
  CHECK((floats_of(second, "obs") == Floats{1, 2, 3, 4, 5}));
  CHECK((floats_of(second, "rewards") == Floats{1, 2, 3, 4}));
}

void lookback_does_not_reach_before_the_start_of_an_episode() {
  Recorder recorder(example_module(5));
  recorder.start_episode(seen(0));
  record(recorder, 0, 1);
  recorder.take_batch();
  record(recorder, 1, 1);
  CHECK(only(recorder.take_batch()).chunks.at(0).lookback == 1);
}

void a_finished_episode_has_its_return_length_and_duration() {
  TimePoint now;
  Recorder recorder(example_module(), [&] { return now; });
  recorder.start_episode(seen(0));
  record(recorder, 0, 2);
  recorder.take_batch();
  now = after(now, Seconds(2.0));
  record(recorder, 2, 2, {false, true});
  const auto batch = recorder.take_batch();
  const Chunk& chunk = only(batch).chunks.at(0);
  CHECK(chunk.truncated && !chunk.terminated && chunk.episode_length == 4);
  CHECK(chunk.episode_return == 6.0 && chunk.episode_s == 2.0);
}

void episodes_that_end_within_a_batch_are_chunks_of_their_own() {
  Recorder recorder(example_module());
  for (int episode = 0; episode < 2; ++episode) {
    recorder.start_episode(seen(0));
    record(recorder, 0, 2, {true, false});
  }
  const auto batch = recorder.take_batch();
  CHECK(only(batch).chunks.size() == 2);
  CHECK(only(batch).chunks[0].episode_id != only(batch).chunks[1].episode_id);
  CHECK((floats_of(batch, "obs") == Floats{0, 1, 2, 0, 1, 2}));
}

void a_batch_is_read_back_as_it_was_packed() {
  Recorder recorder(example_module());
  recorder.start_episode(seen(0));
  record(recorder, 0, 3, {true, false});
  const Bytes payload = pack_batch(recorder.take_batch());
  CHECK(pack_batch(unpack_batch(payload)) == payload);
}

void discarded_steps_are_not_in_the_next_batch() {
  Recorder recorder(example_module());
  recorder.start_episode(seen(0));
  record(recorder, 0, 3);
  CHECK(recorder.discard_batch() == 3);
  record(recorder, 3, 1);
  const auto batch = recorder.take_batch();
  CHECK(only(batch).chunks.at(0).t_started == 3 && only(batch).chunks.size() == 1);
}

void rows_that_do_not_fit_the_manifest_are_local_errors() {
  Recorder recorder(example_module());
  check_raises<LocalProtocolError>([&] { recorder.record(acted(0), 0, seen(0)); });
  recorder.start_episode(seen(0));
  check_raises<LocalProtocolError>([&] { recorder.record({}, 0, seen(0)); });
  check_raises<LocalProtocolError>(
      [&] { recorder.record({{"actions", Array::scalar(1.0F)}}, 0, seen(0)); });
  check_raises<LocalProtocolError>([&] { recorder.record(acted(0), 0, Array::scalar(1.0F)); });
  check_raises<LocalProtocolError>([&] { recorder.take_batch(); });
}

void rows_are_converted_where_that_keeps_their_values() {
  Recorder recorder(example_module());
  recorder.start_episode(Array::of(std::vector<double>{0.5}));
  recorder.record({{"actions", Array::scalar(std::uint8_t{1})}}, 0.0F,
                  Array::of(std::vector<std::int32_t>{-2}));
  const auto batch = recorder.take_batch();
  CHECK((floats_of(batch, "obs") == Floats{0.5F, -2.0F}));
}

void integers_are_converted_to_types_that_can_hold_them() {
  const auto converts = [](DType dtype, const Array& row) {
    try {
      return fit_row(TensorSpec{"obs", dtype, {}}, row).dtype() == dtype;
    } catch (const LocalProtocolError&) {
      return false;
    }
  };
  CHECK(converts(DType::uint8, Array::scalar(std::int64_t{255})));
  CHECK(!converts(DType::uint8, Array::scalar(std::int64_t{256})));
  CHECK(!converts(DType::uint8, Array::scalar(std::int64_t{-1})));
  CHECK(converts(DType::int8, Array::scalar(std::int64_t{-128})));
  CHECK(!converts(DType::int8, Array::scalar(std::int64_t{-129})));
  CHECK(!converts(DType::int64, Array::scalar(std::uint64_t{1} << 63)));
  CHECK(converts(DType::uint64, Array::scalar(std::int8_t{1})));
  CHECK(!converts(DType::int64, Array::scalar(1.0)));
  CHECK(!converts(DType::boolean, Array::scalar(std::uint8_t{1})));
  CHECK(converts(DType::float32, Array(DType::boolean, {}, {1})));
  CHECK(!converts(DType::float32, Array(DType::float16, {}, {0, 0})));
}

void values_that_are_not_finite_are_refused_and_leave_the_recorder_as_it_was() {
  Recorder recorder(example_module());
  const double nan = std::nan("");
  check_raises<LocalProtocolError>(
      [&] { recorder.start_episode(Array::of(std::vector<double>{nan})); });
  recorder.start_episode(seen(0));
  check_raises<LocalProtocolError>(
      [&] { recorder.record(acted(0), static_cast<float>(nan), seen(1)); });
  check_raises<LocalProtocolError>([&] {
    recorder.record(acted(0), 0, Array::of(Floats{std::numeric_limits<float>::infinity()}));
  });
  recorder.record(acted(0), 1, seen(1));
  CHECK((floats_of(recorder.take_batch(), "obs") == Floats{0, 1}));
}

void a_dropped_episode_leaves_only_the_steps_of_others() {
  Recorder recorder(example_module());
  recorder.start_episode(seen(0));
  record(recorder, 0, 2, {true, false});
  recorder.start_episode(seen(5));
  record(recorder, 5, 3);
  CHECK(recorder.drop_episode() == 3);
  CHECK(recorder.env_steps() == 2 && !recorder.is_within_episode());
  recorder.start_episode(seen(0));
  record(recorder, 0, 1);
  CHECK((floats_of(recorder.take_batch(), "obs") == Floats{0, 1, 2, 0, 1}));
}

}  // namespace

int main() {
  return run({
      {"a batch has one observation more than steps", a_batch_has_one_observation_more_than_steps},
      {"an episode is under way from its first step to its last",
       an_episode_is_under_way_from_its_first_step_to_its_last},
      {"an episode continues in the next batch with its lookback",
       an_episode_continues_in_the_next_batch_with_its_lookback},
      {"lookback does not reach before the start of an episode",
       lookback_does_not_reach_before_the_start_of_an_episode},
      {"a finished episode has its return, length and duration",
       a_finished_episode_has_its_return_length_and_duration},
      {"episodes that end within a batch are chunks of their own",
       episodes_that_end_within_a_batch_are_chunks_of_their_own},
      {"a batch is read back as it was packed", a_batch_is_read_back_as_it_was_packed},
      {"discarded steps are not in the next batch", discarded_steps_are_not_in_the_next_batch},
      {"rows that do not fit the manifest are local errors",
       rows_that_do_not_fit_the_manifest_are_local_errors},
      {"rows are converted where that keeps their values",
       rows_are_converted_where_that_keeps_their_values},
      {"integers are converted to types that can hold them",
       integers_are_converted_to_types_that_can_hold_them},
      {"values that are not finite are refused, and leave the recorder as it was",
       values_that_are_not_finite_are_refused_and_leave_the_recorder_as_it_was},
      {"a dropped episode leaves only the steps of others",
       a_dropped_episode_leaves_only_the_steps_of_others},
  });
}
