// The structs that several messages carry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "headrace/wire/identity.hpp"
#include "headrace/wire/value.hpp"

namespace headrace {

/// How the batches up to the acknowledged one ended; all add up to `acknowledged`.
struct Totals {
  std::uint64_t consumed = 0;
  std::uint64_t stale = 0;
  std::uint64_t rejected = 0;
  std::uint64_t dropped = 0;
  std::uint64_t stored = 0;  ///< In the broker's journal.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.defaulted("consumed", self.consumed, detail::batch_count_rule);
    fields.defaulted("stale", self.stale, detail::batch_count_rule);
    fields.defaulted("rejected", self.rejected, detail::batch_count_rule);
    fields.defaulted("dropped", self.dropped, detail::batch_count_rule);
    fields.defaulted("stored", self.stored, detail::batch_count_rule);
  }
};

/// Permission to begin batches.
struct Credit {
  std::uint64_t up_to = 0;           ///< The highest seq that may be begun.
  std::uint64_t fragment_steps = 1;  ///< Close a batch at this many env steps,
  double fragment_s = 1.0;           ///< or after this many seconds, whichever comes first.
  PolicyVersion min_version;         ///< Credit can overtake the weights it was granted for.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("up_to", self.up_to, detail::batch_count_rule);
    fields.required("fragment_steps", self.fragment_steps, detail::step_rule);
    fields.required("fragment_s", self.fragment_s, detail::AboveZero{});
    fields.required("min_version", self.min_version);
  }
};

/// Evaluation episodes that an actor is to run.
struct EvaluationTask {
  std::string task;
  std::uint64_t episodes = 1;
  PolicyVersion min_version;
  std::optional<std::uint64_t> max_env_steps;  ///< Where a longer episode is truncated.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("task", self.task, detail::name_rule);
    fields.required("episodes", self.episodes, detail::step_rule);
    fields.required("min_version", self.min_version);
    fields.optional("max_env_steps", self.max_env_steps, detail::step_rule);
  }
};

/// The learner's assignment to simulators in training, from their next episodes on.
struct Assignment {
  std::uint64_t number = 1;           ///< A later one of the same learner run has a higher one.
  std::string task;                   ///< Echoed by the batches of these episodes.
  Map options;                        ///< For every reset of the simulator.
  std::optional<std::uint64_t> seed;  ///< For the first of these resets.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("number", self.number, detail::assignment_rule);
    fields.required("task", self.task, detail::name_rule);
    fields.defaulted("options", self.options);
    fields.optional("seed", self.seed, detail::count_rule);
  }
};

}  // namespace headrace
