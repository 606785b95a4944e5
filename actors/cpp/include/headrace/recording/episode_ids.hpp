// Ids of episodes.
#pragma once

#include <cstdint>
#include <random>

#include "headrace/wire/trajectory.hpp"

namespace headrace {

/// Returns an id that no other episode has.
inline EpisodeId random_episode_id() {
  // Not from a seeded generator: actors with the same seed would share the ids of their episodes.
  std::random_device device;
  EpisodeId id{};
  for (std::uint8_t& byte : id) byte = static_cast<std::uint8_t>(device());
  return id;
}

}  // namespace headrace
