// Finds the connections of a client that look alive and are not.
#pragma once

#include <array>
#include <map>
#include <vector>

#include "headrace/wire/clock.hpp"
#include "headrace/wire/endpoints.hpp"
#include "headrace/wire/silence.hpp"

namespace headrace {

/// Watches the three connections of a client from the first call on.
///
/// The broker answers each presence, which proves ingest; it sends a beacon each second, which
/// proves control; and weights are proven once the version in the beacon has arrived.
class EndpointWatch {
 public:
  /// Notes that an endpoint has proven itself.
  void hear(Endpoint endpoint, TimePoint now) { watch(endpoint, now).hear(now); }

  /// Returns, once, the endpoints to reconnect.
  std::vector<Endpoint> take_overdue(TimePoint now) {
    std::vector<Endpoint> found;
    for (const Endpoint endpoint : {Endpoint::ingest, Endpoint::control, Endpoint::weights}) {
      if (watch(endpoint, now).restart_if_overdue(now)) found.push_back(endpoint);
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
