// The learner's assignments, and how to reset a simulator for one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "headrace/wire/messages/parts.hpp"

namespace headrace {

/// How to reset a simulator for an episode that begins now.
struct Reset {
  std::optional<std::string> task;  ///< Nothing if nothing is assigned.
  Map options;                      ///< As the `options` of Gymnasium's `reset`.
  std::optional<std::uint64_t> seed;
};

/// Which assignment the newest episode began under.
class Adoption {
 public:
  /// Returns whether the newest episode began under another assignment.
  bool is_behind(const std::optional<Assignment>& assignment) const {
    return number_of(assignment) != number_;
  }

  /// Returns how to reset for an episode that begins now; only the first reset has the seed.
  Reset adopt(const std::optional<Assignment>& assignment) {
    const bool is_new = is_behind(assignment);
    number_ = number_of(assignment);
    if (!assignment) return {};
    return {assignment->task, assignment->options, is_new ? assignment->seed : std::nullopt};
  }

 private:
  static std::uint64_t number_of(const std::optional<Assignment>& assignment) {
    return assignment ? assignment->number : 0;
  }

  std::uint64_t number_ = 0;
};

}  // namespace headrace
