// Time as the library sees it: monotonic, and passed in.
#pragma once

#include <chrono>
#include <functional>

namespace headrace {

using TimePoint = std::chrono::steady_clock::time_point;
using Seconds = std::chrono::duration<double>;
using Clock = std::function<TimePoint()>;

inline constexpr TimePoint never = TimePoint::max();
inline constexpr TimePoint long_ago = TimePoint::min();

/// Returns the clock of this machine.
inline Clock steady_clock() {
  return [] { return std::chrono::steady_clock::now(); };
}

/// Returns the moment `wait` after another one, or `never` if that is more than a century away.
inline TimePoint after(TimePoint moment, Seconds wait) {
  constexpr Seconds a_century{3.2e9};
  if (!(wait < a_century)) return never;
  return moment + std::chrono::duration_cast<TimePoint::duration>(wait);
}

}  // namespace headrace
