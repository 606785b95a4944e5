// The messages between a thin simulator and a policy server.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/wire/fields.hpp"
#include "headrace/wire/messages/headers.hpp"
#include "headrace/wire/payload.hpp"
#include "headrace/wire/trajectory.hpp"

namespace headrace {

/// Identifies a request of an episode, and its answer.
struct Turn {
  std::string episode;     ///< A name that no other episode has.
  std::uint64_t turn = 0;  ///< The number of the request within the episode, from 0.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("episode", self.episode, detail::name_rule);
    fields.required("turn", self.turn, detail::batch_count_rule);
  }
};

/// Asks for actions; the first one of an episode begins it.
struct Act : Turn {
  static constexpr const char* kind = "act";
  static constexpr std::size_t payload_count = 1;

  bool training_enabled = true;     ///< Whether the learner may train on the episode.
  std::optional<std::string> task;  ///< Of the assignment that the simulator was reset to.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    Turn::describe(self, fields);
    fields.defaulted("training_enabled", self.training_enabled);
    fields.optional("task", self.task, detail::name_rule);
  }
};

/// Ends an episode for all agents in it.
struct End : Turn {
  static constexpr const char* kind = "end";
  static constexpr std::size_t payload_count = 1;

  bool truncated = false;  ///< It was cut off before a terminal state.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    Turn::describe(self, fields);
    fields.defaulted("truncated", self.truncated);
  }
};

/// Answers `act`.
struct Actions : Turn {
  static constexpr const char* kind = "actions";
  static constexpr std::size_t payload_count = 1;
};

/// Answers `end`.
struct Ended : Turn {
  static constexpr const char* kind = "ended";
  static constexpr std::size_t payload_count = 0;

  std::optional<Assignment> assignment;  ///< For the simulator's next reset.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    Turn::describe(self, fields);
    fields.optional("assignment", self.assignment);
  }
};

/// Reports why a request was not served.
struct Denial {
  static constexpr const char* kind = "denial";
  static constexpr std::size_t payload_count = 0;

  RejectCode code = RejectCode::other;
  std::string reason;
  std::optional<std::string> episode;
  std::optional<std::uint64_t> turn;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("code", self.code);
    fields.required("reason", self.reason, detail::text_rule);
    fields.defaulted("episode", self.episode, detail::name_rule);
    fields.defaulted("turn", self.turn, detail::count_rule);
  }
};

/// Asks for a description of what the server serves.
struct Describe {
  static constexpr const char* kind = "describe";
  static constexpr std::size_t payload_count = 0;

  template <class Self, class Fields>
  static void describe(Self&, Fields&) {}
};

/// Answers `describe`.
struct Description {
  static constexpr const char* kind = "description";
  static constexpr std::size_t payload_count = 0;

  std::string run;
  PolicyVersion version;
  bool multi_agent = false;
  std::optional<std::vector<std::string>> infos;  ///< Names of the infos that are recorded.
  std::optional<Assignment> assignment;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("run", self.run, detail::name_rule);
    fields.required("version", self.version);
    fields.defaulted("multi_agent", self.multi_agent);
    fields.optional("infos", self.infos, detail::name_rule);
    fields.optional("assignment", self.assignment);
  }
};

/// The endpoint of a policy server on this machine.
inline constexpr const char* default_inference = "tcp://127.0.0.1:5570";

using Question = std::variant<Act, End, Describe>;
using Answer = std::variant<Actions, Ended, Denial, Description>;

/// One agent's part of a request. Defaults are not written.
struct AgentTurn {
  /// An array, a number, a list of numbers, or a map of these by name.
  std::optional<Value> observation;
  /// The reward since its last action; finite.
  double reward = 0.0;
  /// The action that it takes without asking for one.
  std::optional<Value> action;
  bool terminated = false;
  bool truncated = false;
  /// Further numbers; those that the description names are recorded.
  std::map<std::string, double> info;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.optional("observation", self.observation);
    fields.unless("reward", self.reward, 0.0);
    fields.optional("action", self.action);
    fields.unless("terminated", self.terminated, false);
    fields.unless("truncated", self.truncated, false);
    fields.unless("info", self.info, {});
  }
};

/// By agent id; a single agent is called `default_agent`.
using AgentTurns = std::map<std::string, AgentTurn>;
/// By agent id: an integer or a list of numbers; of a Tuple or a Dict, a list or a map of these.
using AgentActions = std::map<std::string, Value>;

/// Returns the payload frame of a request.
///
/// Raises LocalProtocolError: a reward is not finite.
inline Bytes encode_turns(const AgentTurns& turns) {
  detail::MsgpackWriter writer;
  writer.map(turns.size());
  for (const auto& [agent, turn] : turns) {
    if (!std::isfinite(turn.reward)) {
      throw LocalProtocolError("a reward for agent '" + agent + "' that is not finite");
    }
    detail::FieldWriter fields;
    AgentTurn::describe(turn, fields);
    writer.text(agent);
    writer.append(fields.take());
  }
  return writer.take();
}

/// Returns the agents' turns in the payload of a request.
///
/// Raises RemoteProtocolError: the payload is malformed.
inline AgentTurns decode_turns(const Bytes& frame, const DecodeLimits& limits = {}) {
  AgentTurns turns;
  for (const auto& [agent, value] : decode_payload(frame, limits)) {
    const Map* map = value.get_if<Map>();
    if (map == nullptr) {
      throw RemoteProtocolError(RejectCode::malformed, "an agent's turn that is not a map");
    }
    detail::FieldReader fields(*map);
    AgentTurn::describe(turns[agent], fields);
    if (!std::isfinite(turns[agent].reward)) {
      throw RemoteProtocolError(RejectCode::malformed, "a reward that is not finite");
    }
  }
  return turns;
}

inline Bytes encode_actions(const AgentActions& actions) {
  return encode_payload(Map(actions.begin(), actions.end()));
}

/// Returns the actions in the payload of an answer.
///
/// Raises RemoteProtocolError: the payload is malformed.
namespace detail {

/// Returns whether a value is a number, or lists and maps of numbers.
inline bool is_action(const Value& value) {
  if (value.integer() || value.number()) return true;
  if (const auto* list = value.get_if<List>()) {
    return std::all_of(list->begin(), list->end(), is_action);
  }
  const auto* map = value.get_if<Map>();
  return map != nullptr && std::all_of(map->begin(), map->end(), [](const auto& member) {
           return is_action(member.second);
         });
}

}  // namespace detail

inline AgentActions decode_actions(const Bytes& frame, const DecodeLimits& limits = {}) {
  AgentActions actions;
  for (auto& [agent, action] : decode_payload(frame, limits)) {
    if (!detail::is_action(action)) {
      throw RemoteProtocolError(RejectCode::malformed,
                                "an action that does not consist of numbers, lists and maps");
    }
    actions[agent] = action;
  }
  return actions;
}

}  // namespace headrace
