// Ids of actors.
#pragma once

#include <unistd.h>

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/identity.hpp"
#include "headrace/wire/invitation.hpp"

namespace headrace::detail {

inline std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// Returns an unpredictable number: the incarnations of actors must differ.
inline std::uint64_t random_number() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

/// Returns an id that no other process has: host, process and a random part.
inline std::string default_actor_id() {
  std::string host = host_name().substr(0, 64);
  for (char& character : host) {
    if (!name_rule.allows(character)) character = '-';
  }
  return host + "-" + std::to_string(getpid()) + "-" + std::to_string(random_number() % 1'000'000);
}

/// Returns the id to use: the given one, or one that no other process has.
///
/// Raises ConfigError: the id is malformed, or the invitation is for another one.
inline std::string actor_id_of(const std::string& actor,
                               const std::optional<Invitation>& invitation) {
  if (actor.empty()) {
    const std::string name = default_actor_id();
    return invitation ? (invitation->name + "." + name).substr(0, 128) : name;
  }
  if (!name_rule.fits(actor)) {
    throw ConfigError("'" + actor +
                      "' is not an actor id: write 1 to 128 printable ASCII characters, no space");
  }
  if (invitation && !invitation->may_speak_for(actor)) {
    throw ConfigError("the invitation is for '" + invitation->name + "', not for the actor id '" +
                      actor + "'; use an id that begins with '" + invitation->name + ".'");
  }
  return actor;
}

}  // namespace headrace::detail
