// Payloads of trajectories that are compressed, where liblz4 is there.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "headrace/errors.hpp"
#include "headrace/value.hpp"

#ifdef HEADRACE_HAS_LZ4
#include <lz4frame.h>
#endif

namespace headrace::detail {

/// A payload as it travels.
struct PackedPayload {
  Bytes bytes;
  std::optional<std::string> compression;  ///< What the header says of it; nothing for none.
};

#ifdef HEADRACE_HAS_LZ4

/// Returns one LZ4 frame that tells the size of its content.
///
/// Raises LocalProtocolError: liblz4 cannot do it.
inline Bytes lz4_frame(const Bytes& content) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.contentSize = content.size();
  Bytes frame(LZ4F_compressFrameBound(content.size(), &preferences));
  const std::size_t size = LZ4F_compressFrame(frame.data(), frame.size(), content.data(),
                                              content.size(), &preferences);
  if (LZ4F_isError(size)) {
    throw LocalProtocolError(std::string("cannot compress a batch: ") + LZ4F_getErrorName(size));
  }
  frame.resize(size);
  return frame;
}

/// Returns a payload compressed as the manifest wants it, or as it is where that is no gain.
inline PackedPayload compress(const std::optional<std::string>& wanted, Bytes payload) {
  if (wanted != "lz4") return {std::move(payload), std::nullopt};
  Bytes frame = lz4_frame(payload);
  if (frame.size() >= payload.size()) return {std::move(payload), std::nullopt};
  return {std::move(frame), wanted};
}

#else

/// Returns a payload as it is; the broker takes that, too.
inline PackedPayload compress(const std::optional<std::string>&, Bytes payload) {
  return {std::move(payload), std::nullopt};
}

#endif

}  // namespace headrace::detail
