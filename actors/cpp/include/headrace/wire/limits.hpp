// Bounds on the data that this process decodes for a peer.
#pragma once

#include <cstddef>

namespace headrace {

/// Bounds that are checked before or while bytes become values.
struct DecodeLimits {
  std::size_t max_header_bytes = std::size_t{1} << 20;
  std::size_t max_payload_bytes = std::size_t{256} << 20;
  std::size_t max_nodes = 4096;  ///< Maps, lists and their members; an array counts as one.
  std::size_t max_depth = 8;     ///< Maps and lists inside one another.
  std::size_t max_chunks = 65'536;
};

}  // namespace headrace
