// Compression of trajectory payloads, if liblz4 is available.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/value.hpp"

#ifdef HEADRACE_HAS_LZ4
#include <lz4frame.h>
#endif

namespace headrace::detail {

/// A payload as it travels.
struct PackedPayload {
  Bytes bytes;
  std::optional<std::string> compression;  ///< As in the header; nothing if it is not compressed.
};

#ifdef HEADRACE_HAS_LZ4

/// Returns one LZ4 frame that states the size of its content.
///
/// Raises LocalProtocolError: liblz4 failed.
inline Bytes lz4_frame(const Bytes& content) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.contentSize = content.size();
  Bytes frame(LZ4F_compressFrameBound(content.size(), &preferences));
  const std::size_t size =
      LZ4F_compressFrame(frame.data(), frame.size(), content.data(), content.size(), &preferences);
  if (LZ4F_isError(size)) {
    throw LocalProtocolError(std::string("cannot compress a batch: ") + LZ4F_getErrorName(size));
  }
  frame.resize(size);
  return frame;
}

/// Returns a payload compressed as the manifest asks, or unchanged if that would not be smaller.
inline PackedPayload compress(const std::optional<std::string>& wanted, Bytes payload) {
  if (wanted != "lz4") return {std::move(payload), std::nullopt};
  Bytes frame = lz4_frame(payload);
  if (frame.size() >= payload.size()) return {std::move(payload), std::nullopt};
  return {std::move(frame), wanted};
}

#else

/// Returns a payload unchanged; the broker accepts that, too.
inline PackedPayload compress(const std::optional<std::string>&, Bytes payload) {
  return {std::move(payload), std::nullopt};
}

#endif

}  // namespace headrace::detail
