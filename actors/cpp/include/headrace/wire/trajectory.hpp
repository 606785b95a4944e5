// Columnar trajectory batches: all chunks of a module share one array per column.
//
// A chunk is a contiguous slice of one agent's episode. Of its rows the first `lookback` are
// context and never trained. `obs` columns have lookback + length + 1 rows per chunk, all others
// lookback + length; the rows of consecutive chunks follow one another.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/wire/arrays.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/identity.hpp"
#include "headrace/wire/limits.hpp"
#include "headrace/wire/payload.hpp"
#include "headrace/wire/value.hpp"

namespace headrace {

inline constexpr const char* default_module = "default_policy";
inline constexpr const char* default_agent = "default_agent";
inline constexpr const char* observation_column = "obs";
inline constexpr const char* action_column = "actions";
inline constexpr const char* reward_column = "rewards";
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

using EpisodeId = std::array<std::uint8_t, 16>;

/// Returns whether `name` is the column `family` or one of its paths, such as `obs/camera`.
inline bool is_column(std::string_view family, std::string_view name) {
  return name == family || (name.size() > family.size() && name[family.size()] == '/' &&
                            name.substr(0, family.size()) == family);
}

/// Returns whether a column has another row per chunk, for the moment after the last step.
inline bool has_last_row(std::string_view name) {
  return name == "env_t" || is_column(observation_column, name);
}

/// One row of a module's chunk table.
struct Chunk {
  EpisodeId episode_id{};           ///< Random, equal for all chunks of an episode.
  std::uint64_t agent = 0;          ///< Index into the module's `agents`.
  std::uint64_t env_t_started = 0;  ///< The episode's env step at the first trained step.
  std::uint64_t t_started = 0;      ///< The same in the agent's own steps.
  std::uint64_t length = 0;         ///< Trained steps, at least 1.
  std::uint64_t lookback = 0;       ///< Context steps before them.
  bool terminated = false;          ///< Whether the episode ended with this chunk.
  bool truncated = false;
  std::uint64_t episode_length = 0;      ///< Agent steps of the whole episode if it ended.
  double episode_return = not_a_number;  ///< Of the whole episode if it ended.
  double episode_s = not_a_number;       ///< Duration in seconds if it ended.
};

/// Rows of one column, for all chunks of a module.
struct Column {
  std::string name;
  Array values;
};

/// The chunks of all agents of one module.
struct ModuleTrajectories {
  std::vector<std::string> agents;  ///< The distinct agent ids.
  std::vector<Chunk> chunks;
  std::vector<Column> columns;
};

/// Trajectories by module id.
using TrajectoryBatch = std::map<std::string, ModuleTrajectories>;

namespace detail {

inline constexpr std::size_t integer_fields = 8;
inline constexpr std::size_t float_fields = 2;
inline constexpr std::uint64_t longest_chunk = std::uint64_t{1} << 31;

inline Map pack_chunks(const ModuleTrajectories& module) {
  Bytes ids;
  std::vector<std::int64_t> integers;
  std::vector<double> floats;
  for (const Chunk& chunk : module.chunks) {
    ids.insert(ids.end(), chunk.episode_id.begin(), chunk.episode_id.end());
    for (const std::uint64_t value :
         {chunk.agent, chunk.env_t_started, chunk.t_started, chunk.length, chunk.lookback,
          std::uint64_t{chunk.terminated}, std::uint64_t{chunk.truncated}, chunk.episode_length}) {
      integers.push_back(static_cast<std::int64_t>(value));
    }
    floats.insert(floats.end(), {chunk.episode_return, chunk.episode_s});
  }
  const std::size_t count = module.chunks.size();
  return {{"agents", List(module.agents.begin(), module.agents.end())},
          {"episode_id", Array(DType::uint8, {count, EpisodeId().size()}, std::move(ids))},
          {"integers", Array::of({count, integer_fields}, integers)},
          {"floats", Array::of({count, float_fields}, floats)}};
}

inline RemoteProtocolError batch_fault(const std::string& what) {
  return RemoteProtocolError(RejectCode::invalid_batch, "the batch has " + what);
}

inline const Map& map_member(const Map& map, std::string_view name) {
  const Value* value = find(map, name);
  const Map* member = value == nullptr ? nullptr : value->get_if<Map>();
  if (member == nullptr) throw batch_fault("no map '" + std::string(name) + "'");
  return *member;
}

inline const Array& table_array(const Map& table, std::string_view name, DType dtype,
                                std::size_t columns) {
  const Value* value = find(table, name);
  const Array* array = value == nullptr ? nullptr : value->get_if<Array>();
  if (array == nullptr || array->dtype() != dtype || array->shape().size() != 2 ||
      array->shape()[1] != columns) {
    throw batch_fault("a chunk table without the array '" + std::string(name) + "'");
  }
  return *array;
}

inline Chunk unpack_chunk(const std::int64_t* integers, const double* floats,
                          const std::uint8_t* episode_id) {
  for (std::size_t at = 0; at < integer_fields; ++at) {
    if (integers[at] < 0 || static_cast<std::uint64_t>(integers[at]) > max_safe_integer) {
      throw batch_fault("a number below 0 or above 2^53 - 1");
    }
  }
  const auto integer = [integers](std::size_t at) {
    return static_cast<std::uint64_t>(integers[at]);
  };
  Chunk chunk;
  std::copy_n(episode_id, chunk.episode_id.size(), chunk.episode_id.begin());
  chunk.agent = integer(0);
  chunk.env_t_started = integer(1);
  chunk.t_started = integer(2);
  chunk.length = integer(3);
  chunk.lookback = integer(4);
  chunk.terminated = integer(5) != 0;
  chunk.truncated = integer(6) != 0;
  chunk.episode_length = integer(7);
  chunk.episode_return = floats[0];
  chunk.episode_s = floats[1];
  return chunk;
}

inline void check_chunk(const Chunk& chunk, std::size_t agents) {
  if (chunk.agent >= agents) throw batch_fault("an 'agent' index outside 'agents'");
  if (chunk.length < 1 || chunk.length > longest_chunk)
    throw batch_fault("a chunk length out of range");
  if (chunk.lookback > chunk.t_started) {
    throw batch_fault("a lookback that reaches before the start of its episode");
  }
}

inline std::vector<std::string> unpack_agents(const Map& table) {
  const Value* value = find(table, "agents");
  const List* list = value == nullptr ? nullptr : value->get_if<List>();
  if (list == nullptr) throw batch_fault("a chunk table without 'agents'");
  std::vector<std::string> agents;
  for (const Value& member : *list) {
    const auto* agent = member.get_if<std::string>();
    if (agent == nullptr) throw batch_fault("an agent id that is not text");
    agents.push_back(*agent);
  }
  return agents;
}

inline ModuleTrajectories unpack_module(const Map& tree) {
  const Map& table = map_member(tree, "chunks");
  ModuleTrajectories module;
  module.agents = unpack_agents(table);
  const Array& ids = table_array(table, "episode_id", DType::uint8, EpisodeId().size());
  const Array& integers = table_array(table, "integers", DType::int64, integer_fields);
  const Array& floats = table_array(table, "floats", DType::float64, float_fields);
  const std::size_t count = integers.shape()[0];
  if (count == 0 || ids.shape()[0] != count || floats.shape()[0] != count) {
    throw batch_fault("a ragged or empty chunk table");
  }
  for (std::size_t at = 0; at < count; ++at) {
    module.chunks.push_back(unpack_chunk(integers.data<std::int64_t>() + integer_fields * at,
                                         floats.data<double>() + float_fields * at,
                                         ids.data<std::uint8_t>() + EpisodeId().size() * at));
    check_chunk(module.chunks.back(), module.agents.size());
  }
  for (const auto& [name, value] : map_member(tree, "columns")) {
    const Array* array = value.get_if<Array>();
    if (array == nullptr || array->shape().empty()) {
      throw batch_fault("a column that is not an array of rows");
    }
    module.columns.push_back({name, *array});
  }
  return module;
}

}  // namespace detail

/// Returns the payload frame of a batch.
///
/// Raises LocalProtocolError: a module has no chunks.
inline Bytes pack_batch(const TrajectoryBatch& batch) {
  Map modules;
  for (const auto& [id, module] : batch) {
    if (module.chunks.empty()) throw LocalProtocolError("a batch with a module without chunks");
    Map columns;
    for (const Column& column : module.columns) columns.emplace_back(column.name, column.values);
    modules.emplace_back(id, Map{{"chunks", detail::pack_chunks(module)}, {"columns", columns}});
  }
  return encode_payload(modules);
}

/// Returns the batch in a payload frame, with a consistent chunk table.
///
/// Raises RemoteProtocolError: the bytes are not a batch.
inline TrajectoryBatch unpack_batch(const Bytes& frame, const DecodeLimits& limits = {}) {
  TrajectoryBatch batch;
  std::size_t chunks = 0;
  for (const auto& [id, value] : decode_payload(frame, limits)) {
    const Map* tree = value.get_if<Map>();
    if (tree == nullptr) throw detail::batch_fault("a module that is not a map");
    batch[id] = detail::unpack_module(*tree);
    chunks += batch[id].chunks.size();
  }
  if (batch.empty()) throw detail::batch_fault("no module");
  if (chunks > limits.max_chunks) throw detail::batch_fault("too many chunks");
  return batch;
}

}  // namespace headrace
