// When to replace a connection that has gone silent.
#pragma once

#include <algorithm>

#include "headrace/wire/clock.hpp"

namespace headrace::detail {

/// Watches one connection whose peer speaks at least once a second.
///
/// A connection that a middlebox has forgotten looks alive to TCP for ever. But a large message on
/// a slow line is silence, too, and would never arrive if each attempt were cut short: so each one
/// is given twice the time of the last.
class SilenceWatch {
 public:
  explicit SilenceWatch(TimePoint now, Seconds first = Seconds(5), Seconds longest = Seconds(600))
      : first_(first), longest_(longest), limit_(first), since_(now) {}

  /// Notes that the peer spoke.
  void hear(TimePoint now) {
    limit_ = first_;
    since_ = now;
  }

  /// Begins the next, longer wait if this one is over; returns whether it was: reconnect.
  bool restart_if_overdue(TimePoint now) {
    if (now - since_ < limit_) return false;
    limit_ = std::min(2 * limit_, longest_);
    since_ = now;
    return true;
  }

 private:
  Seconds first_;
  Seconds longest_;
  Seconds limit_;
  TimePoint since_;
};

}  // namespace headrace::detail
