// Which of a client's connections look alive and are not.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "headrace/clock.hpp"

namespace headrace {

/// The broker's endpoints that an actor connects to.
enum class Endpoint { ingest, control, weights };

namespace detail {

/// Watches one connection whose peer speaks at least once a second.
///
/// A middlebox that forgot a connection leaves one that looks alive to TCP for ever. But a large
/// message on a slow line is silence, too, and would never get through if each attempt were cut
/// short: so each one is given twice the time of the last.
class SilenceWatch {
 public:
  explicit SilenceWatch(TimePoint now) : since_(now) {}

  void hear(TimePoint now) {
    limit_ = first_limit;
    since_ = now;
  }

  /// Returns true, once, when the connection should be made anew.
  bool is_overdue(TimePoint now) {
    if (now - since_ < limit_) return false;
    limit_ = std::min(2 * limit_, longest_limit);
    since_ = now;
    return true;
  }

 private:
  static constexpr Seconds first_limit{5.0};
  static constexpr Seconds longest_limit{600.0};

  Seconds limit_ = first_limit;
  TimePoint since_;
};

}  // namespace detail

/// Watches the three connections of a client from the first call on.
///
/// The broker answers each presence, which proves ingest; it sends a beacon each second, which
/// proves control; and weights are proven by the version that the beacon tells, once it is here.
class EndpointWatch {
 public:
  void hear(Endpoint endpoint, TimePoint now) { watch(endpoint, now).hear(now); }

  /// Returns, once, the endpoints to connect anew.
  std::vector<Endpoint> overdue(TimePoint now) {
    std::vector<Endpoint> found;
    for (const Endpoint endpoint : {Endpoint::ingest, Endpoint::control, Endpoint::weights}) {
      if (watch(endpoint, now).is_overdue(now)) found.push_back(endpoint);
    }
    return found;
  }

 private:
  detail::SilenceWatch& watch(Endpoint endpoint, TimePoint now) {
    return watches_.try_emplace(endpoint, now).first->second;
  }

  std::map<Endpoint, detail::SilenceWatch> watches_;
};

}  // namespace headrace
