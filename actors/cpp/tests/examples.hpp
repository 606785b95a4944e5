// Small, legal examples of what a learner publishes.
#pragma once

#include <headrace/wire/manifest.hpp>
#include <headrace/wire/payload.hpp>

/// A module for cart-pole, without a critic.
inline headrace::ModuleManifest example_module(std::uint64_t lookback = 0) {
  headrace::ModuleManifest module;
  const auto add = [&](const char* name, headrace::DType dtype, headrace::Shape shape) {
    headrace::ColumnSpec column;
    column.name = name;
    column.dtype = dtype;
    column.shape = std::move(shape);
    module.columns.push_back(column);
  };
  add("obs", headrace::DType::float32, {1});
  add("actions", headrace::DType::int64, {});
  add("rewards", headrace::DType::float32, {});
  module.graph.env_action.name = "env_action";
  module.lookback = lookback;
  return module;
}

inline headrace::Bytes example_policy_frame() {
  headrace::Policy policy;
  policy.manifest.run = "run";
  policy.manifest.modules = {{headrace::default_module, example_module()}};
  policy.graphs = {{headrace::default_module, {}}};
  return headrace::encode_policy(policy);
}

inline headrace::Bytes example_weights_frame() {
  return headrace::encode_payload(
      {{headrace::default_module,
        headrace::Map{{"w", headrace::Array::of(std::vector<float>{1.0F, 2.0F})}}}});
}
