// Encodes and decodes header frames: total, bounded, and typed per endpoint.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/wire/fields.hpp"
#include "headrace/wire/limits.hpp"
#include "headrace/wire/messages/actor.hpp"
#include "headrace/wire/msgpack_reader.hpp"

namespace headrace {

/// The frames of a message, in order.
using Frames = std::vector<Bytes>;

/// Returns the header frame of a message; its payload frames follow it.
template <class Message>
Bytes encode_header(const Message& message) {
  detail::FieldWriter fields;
  fields.constant("kind", Message::kind);
  Message::describe(message, fields);
  fields.constant("wire", wire_version);
  return fields.take();
}

template <class... Kinds>
Bytes encode_header(const std::variant<Kinds...>& message) {
  return std::visit([](const auto& kind) { return encode_header(kind); }, message);
}

namespace detail {

/// The fields of every header.
struct Envelope {
  std::string kind;
  std::uint64_t wire = 0;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("kind", self.kind, text_rule);
    fields.required("wire", self.wire);
  }
};

template <class Message>
Message read_message(const Map& header, std::size_t payloads) {
  Message message;
  FieldReader fields(header);
  Message::describe(message, fields);
  if (payloads != Message::payload_count) {
    throw RemoteProtocolError(
        RejectCode::malformed,
        std::to_string(payloads) + " payload frames after a " + std::string(Message::kind));
  }
  return message;
}

template <class Variant, class Message>
bool read_if_kind(const std::string& kind, const Map& header, std::size_t payloads,
                  std::optional<Variant>& message) {
  if (kind != Message::kind) return false;
  message = read_message<Message>(header, payloads);
  return true;
}

/// A hello is read across wire versions: it has the range that the peer speaks.
inline bool speaks_ours_too(const std::string& kind, const Map& header) {
  if (kind != Hello::kind) return false;
  const Hello hello = read_message<Hello>(header, 0);
  return hello.wire_min <= wire_version && wire_version <= hello.wire_max;
}

template <class Variant>
struct VariantReader;

template <class... Kinds>
struct VariantReader<std::variant<Kinds...>> {
  using Message = std::variant<Kinds...>;

  static Message read(const std::string& kind, const Map& header, std::size_t payloads) {
    std::optional<Message> message;
    const bool is_known = (read_if_kind<Message, Kinds>(kind, header, payloads, message) || ...);
    if (!is_known) {
      throw RemoteProtocolError(RejectCode::unknown_kind, "unknown kind of message");
    }
    return std::move(*message);
  }
};

}  // namespace detail

/// Returns the message in the first of `frames`; the payload frames that follow it are counted.
///
/// `Messages` is the std::variant of the endpoint's messages.
/// Raises RemoteProtocolError: any bytes that are not a legal message of this endpoint.
template <class Messages>
Messages decode_header(const Frames& frames, const DecodeLimits& limits = {}) {
  if (frames.empty()) {
    throw RemoteProtocolError(RejectCode::malformed, "a message without frames");
  }
  if (frames[0].size() > limits.max_header_bytes) {
    throw RemoteProtocolError(RejectCode::oversized,
                              "a header of " + std::to_string(frames[0].size()) + " bytes");
  }
  const Map header = detail::read_map(frames[0], {limits.max_nodes, limits.max_depth, false});
  detail::Envelope envelope;
  detail::FieldReader fields(header);
  detail::Envelope::describe(envelope, fields);
  if (envelope.wire != wire_version && !detail::speaks_ours_too(envelope.kind, header)) {
    throw RemoteProtocolError(RejectCode::unsupported_version,
                              "wire version " + std::to_string(envelope.wire));
  }
  return detail::VariantReader<Messages>::read(envelope.kind, header, frames.size() - 1);
}

}  // namespace headrace
