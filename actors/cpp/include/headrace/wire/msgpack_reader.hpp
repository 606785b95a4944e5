// Reads msgpack into a tree, within limits that are checked before memory is allocated.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/msgpack_library.hpp"
#include "headrace/wire/packed_array.hpp"
#include "headrace/wire/utf8.hpp"
#include "headrace/wire/value.hpp"

namespace headrace::detail {

/// How much one frame may hold.
struct TreeLimits {
  std::size_t max_nodes;
  std::size_t max_depth;
  bool has_arrays;
};

inline constexpr std::size_t longest_text_bytes = 65'536;

/// Called by msgpack's parser; builds one value from the inside out.
class TreeBuilder : public msgpack::null_visitor {
 public:
  explicit TreeBuilder(const TreeLimits& limits) : limits_(limits) {}

  Value take() { return std::move(root_); }

  bool visit_nil() { return add(Value()); }
  bool visit_boolean(bool value) { return add(value); }
  bool visit_positive_integer(std::uint64_t value) { return add(value); }
  bool visit_negative_integer(std::int64_t value) { return add(value); }
  bool visit_float32(float value) { return add(static_cast<double>(value)); }
  bool visit_float64(double value) { return add(value); }

  bool visit_str(const char* bytes, std::uint32_t size) {
    std::string text(bytes, size);
    if (size > longest_text_bytes || !utf8_length(text))
      throw malformed("text that is too long or not UTF-8");
    return is_at_key_ ? begin_member(std::move(text), false) : add(std::move(text));
  }

  bool visit_bin(const char* bytes, std::uint32_t size) {
    if (is_at_key_) return begin_member(std::string(bytes, size), true);
    return add(Bytes(bytes, bytes + size));
  }

  bool visit_ext(const char*, std::uint32_t) { throw malformed("a msgpack extension"); }

  bool start_array(std::uint32_t members) { return open(Kind::list, members); }
  bool end_array() { return close(); }
  bool start_map(std::uint32_t members) { return open(Kind::map, members); }
  bool end_map() { return close(); }
  bool start_map_key() { return is_at_key_ = true; }

  void parse_error(std::size_t, std::size_t) { throw malformed("bytes that are not msgpack"); }
  void insufficient_bytes(std::size_t, std::size_t) { throw malformed("a missing end"); }

 private:
  enum class Kind { list, map, array };

  struct Open {
    Kind kind;
    std::size_t members;
    bool is_counted;
    List list;
    Map map;
  };

  static RemoteProtocolError malformed(const std::string& what) {
    return RemoteProtocolError(RejectCode::malformed, "a frame with " + what);
  }

  static RemoteProtocolError oversized(const std::string& what) {
    return RemoteProtocolError(RejectCode::oversized, "the frame " + what);
  }

  bool add(Value value) {
    if (is_at_key_) throw malformed("a map with a key that is not text");
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().kind == Kind::list) {
      open_.back().list.push_back(std::move(value));
    } else {
      open_.back().map.back().second = std::move(value);
    }
    return true;
  }

  bool open(Kind kind, std::size_t members) {
    if (is_at_key_) throw malformed("a map with a key that is not text");
    spend(1 + members);
    const bool is_shape = !open_.empty() && open_.back().kind == Kind::array;
    open_.push_back({kind, members, !is_shape, {}, {}});
    depth_ += is_shape ? 0 : 1;
    // Only its first key shows whether a map is an array, which may be one level deeper.
    if (kind == Kind::list || members == 0) check_depth();
    return true;
  }

  bool begin_member(std::string name, bool is_binary) {
    is_at_key_ = false;
    Open& map = open_.back();
    if (map.map.empty() && is_binary && limits_.has_arrays) become_array(map);
    if ((map.kind == Kind::array) != is_binary)
      throw malformed("a map with a key that is not text");
    check_depth();
    map.map.emplace_back(std::move(name), Value());
    return true;
  }

  void become_array(Open& map) {
    map.kind = Kind::array;
    map.is_counted = false;
    --depth_;
    nodes_ -= map.members;
  }

  bool close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    depth_ -= closed.is_counted ? 1 : 0;
    if (closed.kind == Kind::list) return add(std::move(closed.list));
    if (closed.kind == Kind::map) return add(std::move(closed.map));
    return add(unpack_array(std::move(closed.map)));
  }

  void spend(std::size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > limits_.max_nodes) throw oversized("has too many parts");
  }

  void check_depth() const {
    if (depth_ > limits_.max_depth) throw oversized("is nested too deeply");
  }

  TreeLimits limits_;
  Value root_;
  std::vector<Open> open_;
  bool is_at_key_ = false;
  std::size_t nodes_ = 0;
  std::size_t depth_ = 0;
};

/// Returns the map in a frame.
///
/// Raises RemoteProtocolError: the bytes are not one map of msgpack, or exceed the limits.
inline Map read_map(const Bytes& frame, const TreeLimits& limits) {
  TreeBuilder builder(limits);
  std::size_t offset = 0;
  const bool is_whole =
      msgpack::parse(reinterpret_cast<const char*>(frame.data()), frame.size(), offset, builder);
  if (!is_whole || offset != frame.size()) {
    throw RemoteProtocolError(RejectCode::malformed, "a frame that is not one value of msgpack");
  }
  Value root = builder.take();
  Map* map = root.get_if<Map>();
  if (map == nullptr) throw RemoteProtocolError(RejectCode::malformed, "a frame that is not a map");
  return std::move(*map);
}

}  // namespace headrace::detail
