// Which of a client's connections look alive and are not.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "headrace/clock.hpp"
#include "headrace/silence_watch.hpp"

namespace headrace {

/// The broker's endpoints that an actor connects to.
enum class Endpoint { ingest, control, weights };

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
