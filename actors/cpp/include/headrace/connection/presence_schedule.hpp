// When an actor says next that it is alive.
#pragma once

#include <algorithm>

#include "headrace/wire/clock.hpp"

namespace headrace {

/// A hello each second until it is answered, then an alive as often as the beacon asks for.
class PresenceSchedule {
 public:
  explicit PresenceSchedule(Seconds shortest) : shortest_{shortest}, period_{shortest} {}

  /// When the next one is due.
  TimePoint due() const { return due_; }

  /// Adopts the period of the beacon.
  void follow(Seconds period) {
    period = std::min(std::max(period, shortest_), longest);
    if (due_ != long_ago && period < period_) due_ = after(due_, period - period_);
    period_ = period;
  }

  /// Makes a message due now.
  void hasten(TimePoint now) { due_ = now; }

  /// Notes that a message was sent.
  void note_sent(TimePoint now, bool is_hello) {
    due_ = after(now, is_hello ? shortest_ : period_);
  }

  /// From when on silence of the broker means something, as it answers each of these messages.
  TimePoint silent_since(TimePoint now) const {
    return due_ == long_ago ? now : std::max(now, after(due_, -default_period));
  }

 private:
  static constexpr Seconds default_period{1.0};
  static constexpr Seconds longest{60.0};

  Seconds shortest_;
  Seconds period_;
  TimePoint due_ = long_ago;
};

}  // namespace headrace
