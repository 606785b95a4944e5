// Writes msgpack: the shortest form of integers, float64 for all other numbers.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "headrace/wire/arrays.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/msgpack_library.hpp"
#include "headrace/wire/packed_array.hpp"
#include "headrace/wire/value.hpp"

namespace headrace::detail {

/// Appends values to a frame; `map` and `list` are followed by their members.
class MsgpackWriter {
 public:
  MsgpackWriter() : packer_(*this) {}
  MsgpackWriter(const MsgpackWriter&) = delete;
  MsgpackWriter& operator=(const MsgpackWriter&) = delete;

  void nil() { packer_.pack_nil(); }
  void boolean(bool value) { value ? packer_.pack_true() : packer_.pack_false(); }
  void natural(std::uint64_t value) { packer_.pack_uint64(value); }
  void negative(std::int64_t value) { packer_.pack_int64(value); }

  /// Instead of the packer's own, which writes a float without a fraction as an integer.
  void real(double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    frame_.push_back(0xCB);
    for (int shift = 56; shift >= 0; shift -= 8) {
      frame_.push_back(static_cast<std::uint8_t>(bits >> shift));
    }
  }

  void map(std::size_t members) { packer_.pack_map(length(members)); }
  void list(std::size_t members) { packer_.pack_array(length(members)); }

  void text(std::string_view value) {
    packer_.pack_str(length(value.size()));
    packer_.pack_str_body(value.data(), length(value.size()));
  }

  void binary(const Bytes& value) {
    packer_.pack_bin(length(value.size()));
    packer_.pack_bin_body(reinterpret_cast<const char*>(value.data()), length(value.size()));
  }

  void array(const Array& value) {
    map(5);
    binary_text("nd");
    boolean(true);
    binary_text("type");
    text(type_text(value.dtype()));
    binary_text("kind");
    binary({});
    binary_text("shape");
    list(value.shape().size());
    for (const std::uint64_t size : value.shape()) natural(size);
    binary_text("data");
    binary(value.bytes());
  }

  void value(const Value& value) {
    value.visit([this](const auto& held) { this->held(held); });
  }

  /// Appends the output of another writer.
  void append(const Bytes& written) { frame_.insert(frame_.end(), written.begin(), written.end()); }

  Bytes take() { return std::move(frame_); }

  /// Called by the packer.
  void write(const char* bytes, std::size_t count) {
    frame_.insert(frame_.end(), bytes, bytes + count);
  }

 private:
  static std::uint32_t length(std::size_t count) {
    if (count > UINT32_MAX) throw LocalProtocolError("a value is too long for msgpack");
    return static_cast<std::uint32_t>(count);
  }

  void binary_text(std::string_view value) { binary(Bytes(value.begin(), value.end())); }

  void held(Value::Nil) { nil(); }
  void held(bool value) { boolean(value); }
  void held(std::uint64_t value) { natural(value); }
  void held(std::int64_t value) { negative(value); }
  void held(double value) { real(value); }
  void held(const std::string& value) { text(value); }
  void held(const Bytes& value) { binary(value); }
  void held(const Array& value) { array(value); }

  void held(const List& members) {
    list(members.size());
    for (const Value& member : members) value(member);
  }

  void held(const Map& members) {
    map(members.size());
    for (const auto& [name, member] : members) {
      text(name);
      value(member);
    }
  }

  Bytes frame_;
  msgpack::packer<MsgpackWriter> packer_;
};

}  // namespace headrace::detail
