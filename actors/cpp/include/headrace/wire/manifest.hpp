// The manifest: all that an actor must know of a run, and the policy frame that carries it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "headrace/wire/arrays.hpp"
#include "headrace/wire/fields.hpp"
#include "headrace/wire/msgpack_reader.hpp"
#include "headrace/wire/sha256.hpp"
#include "headrace/wire/trajectory.hpp"
#include "headrace/wire/value.hpp"

namespace headrace {

namespace detail {

inline constexpr TextRule tensor_name_rule{1, 512};
inline constexpr IntegerRule size_rule{0, std::uint64_t{1} << 40};
inline constexpr IntegerRule lookback_rule{0, 65'536};
inline constexpr IntegerRule env_steps_rule{1, std::uint64_t{1} << 40};
inline constexpr IntegerRule any_natural{0, UINT64_MAX};

/// A policy frame is as large as the learner's network has layers, and comes from the learner.
inline constexpr TreeLimits policy_limits{std::size_t{1} << 20, 32, false};

}  // namespace detail

/// Name, dtype and shape of a graph's input or output; for batched ones without the rows.
struct TensorSpec {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("name", self.name, detail::tensor_name_rule);
    fields.required("dtype", self.dtype);
    fields.required("shape", self.shape, detail::size_rule);
  }
};

/// A column of recorded trajectories: one row of `shape` per step.
struct ColumnSpec : TensorSpec {
  std::optional<double> low;  ///< Bounds, both included; a value outside makes the batch invalid.
  std::optional<double> high;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    TensorSpec::describe(self, fields);
    fields.defaulted("low", self.low);
    fields.defaulted("high", self.high);
  }
};

/// Bounds of continuous actions, element by element in C order.
struct ActionRange {
  std::vector<double> low;
  std::vector<double> high;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("low", self.low);
    fields.required("high", self.high);
  }
};

/// The contract of one module's ONNX graph; section 7 of protocol/SPEC.md defines it.
struct PolicyGraph {
  std::vector<TensorSpec> observations;
  std::uint64_t noise_size = 0;
  std::vector<TensorSpec> weights;
  std::map<std::string, double> scalars;
  std::map<std::string, std::string> recorded;
  TensorSpec env_action;
  double max_error = 0.0;
  std::vector<TensorSpec> states;
  bool takes_reward = false;
  std::optional<ActionRange> action_range;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("observations", self.observations);
    fields.required("noise_size", self.noise_size, detail::size_rule);
    fields.required("weights", self.weights);
    fields.required("scalars", self.scalars);
    fields.required("recorded", self.recorded);
    fields.required("env_action", self.env_action);
    fields.required("max_error", self.max_error);
    fields.defaulted("states", self.states);
    fields.defaulted("takes_reward", self.takes_reward);
    fields.optional("action_range", self.action_range);
  }
};

/// The columns to record for the agents of one module, and the graph that acts for them.
struct ModuleManifest {
  std::vector<ColumnSpec> columns;
  PolicyGraph graph;
  std::uint64_t lookback = 0;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("columns", self.columns);
    fields.required("graph", self.graph);
    fields.defaulted("lookback", self.lookback, detail::lookback_rule);
  }
};

/// Credit for learners that collect, train and publish.
struct OnPolicyFlow {
  static constexpr const char* tag = "strategy";
  static constexpr const char* kind = "on_policy";

  std::uint64_t train_batch_env_steps = 1;
  double overlap = 1.0;
  std::optional<std::uint64_t> max_policy_lag = 1;
  bool cut_on_new_weights = true;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.constant(tag, kind);
    fields.required("train_batch_env_steps", self.train_batch_env_steps, detail::env_steps_rule);
    fields.defaulted("overlap", self.overlap);
    fields.defaulted("max_policy_lag", self.max_policy_lag, detail::any_natural);
    fields.defaulted("cut_on_new_weights", self.cut_on_new_weights);
  }
};

/// Credit for learners that train while they collect.
struct AsynchronousFlow {
  static constexpr const char* tag = "strategy";
  static constexpr const char* kind = "asynchronous";

  std::uint64_t version_env_steps = 1;
  double versions_under_way = 4.0;
  std::optional<std::uint64_t> max_policy_lag = 16;
  bool cut_on_new_weights = false;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.constant(tag, kind);
    fields.required("version_env_steps", self.version_env_steps, detail::env_steps_rule);
    fields.defaulted("versions_under_way", self.versions_under_way);
    fields.defaulted("max_policy_lag", self.max_policy_lag, detail::any_natural);
    fields.defaulted("cut_on_new_weights", self.cut_on_new_weights);
  }
};

/// Credit for learners that replay: nothing is stale.
struct OffPolicyFlow {
  static constexpr const char* tag = "strategy";
  static constexpr const char* kind = "off_policy";

  std::uint64_t sample_env_steps = 1;
  double samples_under_way = 4.0;
  double fragment_s = 1.0;
  std::optional<std::uint64_t> max_policy_lag;
  bool cut_on_new_weights = false;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.constant(tag, kind);
    fields.required("sample_env_steps", self.sample_env_steps, detail::env_steps_rule);
    fields.defaulted("samples_under_way", self.samples_under_way);
    fields.defaulted("fragment_s", self.fragment_s);
    fields.defaulted("max_policy_lag", self.max_policy_lag, detail::any_natural);
    fields.defaulted("cut_on_new_weights", self.cut_on_new_weights);
  }
};

/// The strategy by which the broker grants credit.
using Flow = std::variant<OnPolicyFlow, AsynchronousFlow, OffPolicyFlow>;

/// Returns whether newer weights end an open batch.
inline bool cuts_on_new_weights(const Flow& flow) {
  return std::visit([](const auto& strategy) { return strategy.cut_on_new_weights; }, flow);
}

/// The learner's instructions to its actors.
struct Manifest {
  std::string run;
  Flow flow;
  std::map<std::string, ModuleManifest> modules;  ///< By module id.
  bool multi_agent = false;
  std::vector<std::string> infos;
  std::optional<std::string> environment;  ///< The Gymnasium id of the learner's run file.
  Value environment_config = Map{};
  std::optional<std::map<std::string, std::string>> agents;  ///< Module ids by agent id.
  std::optional<std::string> compression;  ///< How actors should compress their batches.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("run", self.run, detail::name_rule);
    fields.required("flow", self.flow);
    fields.required("modules", self.modules);
    fields.defaulted("multi_agent", self.multi_agent);
    fields.defaulted("infos", self.infos, detail::name_rule);
    fields.defaulted("environment", self.environment);
    fields.defaulted("environment_config", self.environment_config);
    fields.optional("agents", self.agents);
    fields.optional("compression", self.compression);
  }
};

/// A decoded policy frame; a module's graph is ONNX, and empty where only RLlib can act.
struct Policy {
  Manifest manifest;
  std::map<std::string, Bytes> graphs;  ///< By module id.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("manifest", self.manifest);
    fields.required("graphs", self.graphs);
  }
};

/// Returns the policy frame of a manifest and its graphs.
inline Bytes encode_policy(const Policy& policy) {
  detail::FieldWriter fields;
  Policy::describe(policy, fields);
  return fields.take();
}

/// Returns the name of a policy frame: 128 bits of its SHA-256.
inline std::string policy_digest(const Bytes& frame) { return detail::sha256(frame).substr(0, 32); }

namespace detail {

inline std::string module_fault(const ModuleManifest& module) {
  std::set<std::string> names;
  for (const ColumnSpec& column : module.columns) {
    if (!names.insert(column.name).second) return "names a column twice";
    if (column.shape.size() > max_dimensions) return "has a column with too many axes";
  }
  for (const char* needed : {observation_column, action_column, reward_column}) {
    const bool is_there = std::any_of(
        names.begin(), names.end(), [needed](const auto& name) { return is_column(needed, name); });
    if (!is_there) return "has no column '" + std::string(needed) + "'";
  }
  return "";
}

inline void check_policy(const Policy& policy) {
  if (policy.manifest.modules.empty()) {
    throw RemoteProtocolError(RejectCode::invalid_policy, "a policy without modules");
  }
  for (const auto& [id, module] : policy.manifest.modules) {
    const std::string fault = policy.graphs.count(id) == 0 ? "has no graph" : module_fault(module);
    if (!fault.empty()) {
      throw RemoteProtocolError(RejectCode::invalid_policy, "module '" + id + "' " + fault);
    }
  }
}

}  // namespace detail

/// Returns the policy in a policy frame; every module has a graph and the required columns.
///
/// Raises RemoteProtocolError: the bytes are not a policy, or a module lacks a graph or a column.
inline Policy decode_policy(const Bytes& frame) {
  const Map tree = detail::read_map(frame, detail::policy_limits);
  Policy policy;
  detail::FieldReader fields(tree, RejectCode::invalid_policy);
  Policy::describe(policy, fields);
  detail::check_policy(policy);
  return policy;
}

}  // namespace headrace
