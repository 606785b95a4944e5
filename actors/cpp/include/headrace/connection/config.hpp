// The settings of a client.
#pragma once

#include <cstdint>
#include <functional>
#include <iostream>
#include <optional>
#include <string>

#include "headrace/wire/clock.hpp"
#include "headrace/wire/invitation.hpp"
#include "headrace/wire/limits.hpp"
#include "headrace/wire/sender.hpp"

namespace headrace {

namespace detail {

using Log = std::function<void(const std::string&)>;

}  // namespace detail

/// Times and bounds of a client, and its callbacks.
struct ClientConfig {
  std::string address;  ///< If empty, the invitation's, or else `default_address`.
  std::string actor;    ///< If empty, an id that no other process has.
  std::optional<Invitation> invitation;
  std::string client = "headrace cpp";  ///< Shown in `headrace status`.
  Seconds presence{1.0};                ///< Time between presence messages.
  Seconds flush{5.0};  ///< When closing, how long finished batches may take to reach the broker.
  ResendPolicy resend;
  DecodeLimits limits;
  Clock clock = steady_clock();
  /// Called with a line for the log; must not call the client.
  detail::Log log = [](const std::string& line) { std::cerr << "headrace: " + line + "\n"; };
  /// Called with the seq of each batch that is handed to a socket; must not call the client.
  std::function<void(std::uint64_t)> on_transmitted;
};

}  // namespace headrace
