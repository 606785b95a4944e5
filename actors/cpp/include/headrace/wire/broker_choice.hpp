// Which of several brokers an actor uses: rendezvous hashing (SPEC.md, section 2).
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/sha256.hpp"

namespace headrace {

/// Returns the addresses in a text, in which commas separate them. An address that names its four
/// endpoints, `ingest=…,control=…,weights=…,learner=…`, contains commas itself.
///
/// Raises ConfigError: an address is given twice.
inline std::vector<std::string> split_addresses(const std::string& text) {
  std::vector<std::string> addresses;
  std::istringstream parts(text);
  int named = 0;
  for (std::string part; std::getline(parts >> std::ws, part, ',');) {
    part.erase(part.find_last_not_of(' ') + 1);
    const bool is_named = part.find('=') != std::string::npos;
    if (is_named && named % 4 != 0) {
      addresses.back() += "," + part;
    } else {
      addresses.push_back(part);
    }
    named = is_named ? named + 1 : 0;
  }
  for (const std::string& address : addresses) {
    if (std::count(addresses.begin(), addresses.end(), address) > 1) {
      throw ConfigError("the broker " + address + " is given twice");
    }
  }
  if (addresses.empty()) addresses.push_back(text);
  return addresses;
}

/// Returns the address that an actor uses, whatever their order.
inline std::string choose_broker(const std::vector<std::string>& addresses,
                                 const std::string& actor) {
  const auto score = [&](const std::string& address) {
    const std::string text = address + " " + actor;
    return detail::sha256(Bytes(text.begin(), text.end()));
  };
  return *std::max_element(
      addresses.begin(), addresses.end(),
      [&](const std::string& a, const std::string& b) { return score(a) < score(b); });
}

}  // namespace headrace
