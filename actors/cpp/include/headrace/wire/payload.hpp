// Payload frames: one msgpack map of text, numbers, lists, maps and arrays.
#pragma once

#include <string>

#include "headrace/wire/limits.hpp"
#include "headrace/wire/msgpack_reader.hpp"
#include "headrace/wire/msgpack_writer.hpp"

namespace headrace {

inline Bytes encode_payload(const Map& tree) {
  detail::MsgpackWriter writer;
  writer.value(tree);
  return writer.take();
}

/// Returns the map in a payload frame.
///
/// Raises RemoteProtocolError: the bytes are not one such map, or exceed the limits.
inline Map decode_payload(const Bytes& frame, const DecodeLimits& limits = {}) {
  if (frame.size() > limits.max_payload_bytes) {
    throw RemoteProtocolError(RejectCode::oversized,
                              "a payload of " + std::to_string(frame.size()) + " bytes");
  }
  return detail::read_map(frame, {limits.max_nodes, limits.max_depth, true});
}

}  // namespace headrace
