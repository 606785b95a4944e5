// Assembles the trajectory batches of one agent in one simulator.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "headrace/clock.hpp"
#include "headrace/errors.hpp"
#include "headrace/manifest.hpp"
#include "headrace/trajectory.hpp"

namespace headrace {

/// How an episode ended, in Gymnasium's sense; neither while it goes on.
struct Ending {
  bool terminated = false;
  bool truncated = false;

  bool is_over() const { return terminated || truncated; }
};

/// Rows of one step, by column name: `actions` and what else the manifest asks for.
using StepColumns = std::map<std::string, Array>;

/// Returns the id of another episode.
inline EpisodeId random_episode_id() {
  // Not from a seeded generator: two actors of one seed would share their episodes' names.
  std::random_device device;
  EpisodeId id{};
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(device());
  return id;
}

/// Records steps and cuts them into batches of chunks.
///
/// Call `start_episode` with its first observation, `record` after each step, and `take_batch`
/// whenever a batch should end; an episode goes on across batches, and its next chunk brings up to
/// `lookback` steps from before.
class Recorder {
 public:
  /// Raises ConfigError: the module has columns that this recorder cannot fill.
  explicit Recorder(const ModuleManifest& module, Clock clock = steady_clock())
      : clock_(std::move(clock)), columns_(module.columns), lookback_(module.lookback) {
    for (const ColumnSpec& column : columns_) {
      if (column.name != observation_column && has_last_row(column.name)) {
        throw ConfigError("the learner wants the column '" + column.name +
                          "': this recorder records one array as observation");
      }
    }
  }

  /// Env steps in the batch so far.
  std::uint64_t env_steps() const { return env_steps_; }

  /// Begins an episode; one that is under way is left without an end.
  ///
  /// Raises LocalProtocolError: the observation is not what the manifest says.
  void start_episode(const Array& observation) {
    check(observation_column, observation);
    if (env_steps_of_chunk() > 0) cut({});
    steps_.clear();
    kept_ = 0;
    episode_ = Episode{random_episode_id(), clock_()};
    last_observation_ = observation;
  }

  /// Returns whether a step was recorded of an episode that has not ended.
  bool is_within_episode() const { return episode_ && episode_->t > 0; }

  /// Takes a step: what was recorded of the action, and what came of it.
  ///
  /// `outputs` are the rows of all columns but `obs` and `rewards`; `observation` is the one after
  /// the step, of an episode that ended its last one.
  ///
  /// Raises LocalProtocolError: no episode is under way, or a row is not what the manifest says.
  void record(StepColumns outputs, float reward, const Array& observation, Ending ending = {}) {
    if (!episode_) throw LocalProtocolError("start_episode() before record()");
    check_step(outputs, observation);
    steps_.push_back({std::move(last_observation_), std::move(outputs), reward});
    last_observation_ = observation;
    episode_->t += 1;
    episode_->total_reward += reward;
    ++env_steps_;
    if (!ending.is_over()) return;
    cut(ending);
    steps_.clear();
    kept_ = 0;
    episode_.reset();
  }

  /// Returns what was recorded since the last batch; its env steps are what `env_steps` was.
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

  /// Forgets what was recorded since the last batch, and returns its env steps.
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

  /// A chunk, the steps that it holds, and what was seen after the last.
  struct Segment {
    Chunk chunk;
    std::vector<Step> steps;
    Array last_observation;
  };

  std::size_t env_steps_of_chunk() const { return steps_.size() - kept_; }

  void check_step(const StepColumns& outputs, const Array& observation) const {
    check(observation_column, observation);
    for (const ColumnSpec& column : columns_) {
      if (column.name == observation_column || column.name == reward_column) continue;
      const auto row = outputs.find(column.name);
      if (row == outputs.end()) {
        throw LocalProtocolError("a step without the column '" + column.name + "'");
      }
      check(column.name, row->second);
    }
    if (outputs.size() + 2 != columns_.size()) {
      throw LocalProtocolError("a step with a column that the learner does not want");
    }
  }

  void check(const std::string& name, const Array& row) const {
    const auto column = std::find_if(columns_.begin(), columns_.end(),
                                     [&](const ColumnSpec& spec) { return spec.name == name; });
    if (column == columns_.end() || row.dtype() != column->dtype || row.shape() != column->shape) {
      throw LocalProtocolError("a row of '" + name +
                               "' of another dtype or shape than the learner's");
    }
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
  std::vector<Step> steps_;  // of the episode: first `kept_` that another batch has, then new ones
  std::size_t kept_ = 0;
  Array last_observation_;
  std::vector<Segment> segments_;
  std::uint64_t env_steps_ = 0;
};

}  // namespace headrace
