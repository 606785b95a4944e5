// Assembles the trajectory batches of one agent in one simulator.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "headrace/recording/episode_ids.hpp"
#include "headrace/recording/fitting.hpp"
#include "headrace/recording/step_result.hpp"
#include "headrace/wire/clock.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/manifest.hpp"
#include "headrace/wire/trajectory.hpp"

namespace headrace {

/// Records steps and cuts them into batches of chunks.
///
/// Call `start_episode` with its first observation, `record` after each step, and `take_batch`
/// whenever a batch should end. An episode continues across batches; its next chunk includes up to
/// `lookback` steps of the batches before.
class Recorder {
 public:
  /// Raises ConfigError: the module has columns that this recorder cannot fill.
  explicit Recorder(const ModuleManifest& module, Clock clock = steady_clock())
      : clock_(std::move(clock)), columns_(module.columns), lookback_(module.lookback) {
    for (const ColumnSpec& column : columns_) {
      if (column.name != observation_column && has_last_row(column.name)) {
        throw ConfigError("the learner asks for the column '" + column.name +
                          "', but this recorder records one array as observation");
      }
    }
  }

  /// Env steps in the batch so far.
  std::uint64_t env_steps() const { return env_steps_; }

  /// Begins an episode; an episode that has not ended is left without an end.
  ///
  /// Raises LocalProtocolError: the observation does not match the manifest.
  void start_episode(const Array& observation) {
    Array first = fit(observation_column, observation);
    if (env_steps_of_chunk() > 0) cut({});
    steps_.clear();
    kept_ = 0;
    episode_ = Episode{random_episode_id(), clock_()};
    last_observation_ = std::move(first);
  }

  /// Returns whether a step was recorded of an episode that has not ended.
  bool is_within_episode() const { return episode_ && episode_->t > 0; }

  /// Records a step: its outputs and its result.
  ///
  /// `outputs` are the rows of all columns except `obs` and `rewards`; `observation` is the one
  /// after the step, and with an ending the last one of the episode.
  ///
  /// Rows are converted to the dtypes of their columns where that is safe.
  ///
  /// Raises LocalProtocolError: no episode has begun, a row does not match the manifest, or a value
  /// is not finite; the same call with other values may follow.
  void record(const StepColumns& outputs, float reward, const Array& observation,
              Ending ending = {}) {
    if (!episode_) throw LocalProtocolError("start_episode() before record()");
    if (!std::isfinite(reward)) {
      throw LocalProtocolError("the simulator's reward after step " + std::to_string(episode_->t) +
                               " of an episode is not finite");
    }
    StepColumns fitted = fit_step(outputs);
    Array next = fit(observation_column, observation);
    steps_.push_back({std::move(last_observation_), std::move(fitted), reward});
    last_observation_ = std::move(next);
    episode_->t += 1;
    episode_->total_reward += reward;
    ++env_steps_;
    if (!ending.is_over()) return;
    cut(ending);
    steps_.clear();
    kept_ = 0;
    episode_.reset();
  }

  /// Returns the steps since the last batch; read their number from `env_steps` before.
  ///
  /// Raises LocalProtocolError: nothing was recorded.
  TrajectoryBatch take_batch() {
    if (env_steps_ == 0) throw LocalProtocolError("a batch needs at least one step");
    if (env_steps_of_chunk() > 0) cut({});
    ModuleTrajectories module;
    module.agents = {default_agent};
    for (const Segment& segment : segments_) module.chunks.push_back(segment.chunk);
    for (const ColumnSpec& column : columns_) module.columns.push_back(assemble(column));
    discard_batch();
    return {{default_module, std::move(module)}};
  }

  /// Forgets the open episode of a simulator that failed, and returns the number of its steps since
  /// the last batch.
  std::uint64_t drop_episode() {
    const std::uint64_t dropped = env_steps_of_chunk();
    steps_.clear();
    kept_ = 0;
    episode_.reset();
    env_steps_ -= dropped;
    return dropped;
  }

  /// Discards the steps since the last batch, and returns their number.
  std::uint64_t discard_batch() {
    segments_.clear();
    kept_ = std::min<std::size_t>(lookback_, steps_.size());
    steps_.erase(steps_.begin(), steps_.end() - static_cast<std::ptrdiff_t>(kept_));
    return std::exchange(env_steps_, 0);
  }

 private:
  struct Step {
    Array observation;
    StepColumns outputs;
    float reward;
  };

  struct Episode {
    EpisodeId id;
    TimePoint started_at;
    std::uint64_t t = 0;
    double total_reward = 0.0;
  };

  /// A chunk, its steps, and the observation after the last one.
  struct Segment {
    Chunk chunk;
    std::vector<Step> steps;
    Array last_observation;
  };

  std::size_t env_steps_of_chunk() const { return steps_.size() - kept_; }

  StepColumns fit_step(const StepColumns& outputs) const {
    StepColumns fitted;
    for (const ColumnSpec& column : columns_) {
      if (column.name == observation_column || column.name == reward_column) continue;
      const auto row = outputs.find(column.name);
      if (row == outputs.end()) {
        throw LocalProtocolError("a step without the column '" + column.name + "'");
      }
      fitted.emplace(column.name, fit_row(column, row->second));
    }
    if (outputs.size() + 2 != columns_.size()) {
      throw LocalProtocolError("a step with a column that the learner does not ask for");
    }
    return fitted;
  }

  Array fit(const std::string& name, const Array& row) const {
    const auto column = std::find_if(columns_.begin(), columns_.end(),
                                     [&](const ColumnSpec& spec) { return spec.name == name; });
    if (column == columns_.end()) {
      throw LocalProtocolError("the learner asks for no column '" + name + "'");
    }
    return fit_row(*column, row);
  }

  void cut(Ending ending) {
    const std::uint64_t length = env_steps_of_chunk();
    Chunk chunk;
    chunk.episode_id = episode_->id;
    chunk.t_started = chunk.env_t_started = episode_->t - length;
    chunk.length = length;
    chunk.lookback = kept_;
    chunk.terminated = ending.terminated;
    chunk.truncated = ending.truncated;
    if (ending.is_over()) {
      chunk.episode_length = episode_->t;
      chunk.episode_return = episode_->total_reward;
      chunk.episode_s = Seconds(clock_() - episode_->started_at).count();
    }
    segments_.push_back({chunk, steps_, last_observation_});
    kept_ = steps_.size();
  }

  Column assemble(const ColumnSpec& column) const {
    Bytes bytes;
    std::uint64_t rows = 0;
    const auto append = [&](const Bytes& row) {
      bytes.insert(bytes.end(), row.begin(), row.end());
      ++rows;
    };
    for (const Segment& segment : segments_) {
      for (const Step& step : segment.steps) append(row_of(step, column.name).bytes());
      if (column.name == observation_column) append(segment.last_observation.bytes());
    }
    Shape shape{rows};
    shape.insert(shape.end(), column.shape.begin(), column.shape.end());
    return {column.name, Array(column.dtype, std::move(shape), std::move(bytes))};
  }

  static Array row_of(const Step& step, const std::string& column) {
    if (column == observation_column) return step.observation;
    if (column == reward_column) return Array::scalar(step.reward);
    return step.outputs.at(column);
  }

  Clock clock_;
  std::vector<ColumnSpec> columns_;
  std::size_t lookback_;
  std::optional<Episode> episode_;
  std::vector<Step> steps_;  // of the episode; the first `kept_` are in an earlier batch
  std::size_t kept_ = 0;
  Array last_observation_;
  std::vector<Segment> segments_;
  std::uint64_t env_steps_ = 0;
};

}  // namespace headrace
