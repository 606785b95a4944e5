// The result of one step of a simulator.
#pragma once

#include <map>
#include <string>

#include "headrace/wire/arrays.hpp"

namespace headrace {

/// How an episode ended, in Gymnasium's sense; neither while it continues.
struct Ending {
  bool terminated = false;
  bool truncated = false;

  bool is_over() const { return terminated || truncated; }
};

/// Rows of one step, by column name: `actions` and the manifest's other columns.
using StepColumns = std::map<std::string, Array>;

}  // namespace headrace
