// Subscription topics: a kind byte, an id and NUL.
//
// ZeroMQ matches topics by prefix; without the closing NUL, actor `a1` would also receive what is
// meant for `a10`.
#pragma once

#include <string>

namespace headrace {

inline std::string delivery_topic(const std::string& actor) { return "d" + actor + '\0'; }
inline std::string beacon_topic() { return std::string("b") + '\0'; }
inline std::string snapshot_topic(const std::string& actor) { return "s" + actor + '\0'; }
inline std::string weights_topic(const std::string& run) { return "w" + run + '\0'; }

}  // namespace headrace
