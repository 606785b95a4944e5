// The map that stands for an array in a payload frame, as msgpack-numpy writes it.
#pragma once

#include <algorithm>
#include <string>
#include <utility>

#include "headrace/wire/arrays.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/value.hpp"

namespace headrace::detail {

inline RemoteProtocolError array_fault(const std::string& what) {
  return RemoteProtocolError(RejectCode::malformed, "array with " + what);
}

/// Returns the `type` of a packed array, such as `<f4`.
inline std::string type_text(DType dtype) {
  const DTypeFacts& facts = facts_of(dtype);
  return (facts.number_bytes == 1 ? "|" : "<") + std::string(facts.code);
}

struct PackedType {
  DType dtype;
  bool is_big_endian;
};

inline PackedType parse_type_text(std::string_view text) {
  const bool has_order = !text.empty() && std::string_view("<>|=").find(text[0]) != text.npos;
  const std::string_view code = has_order ? text.substr(1) : text;
  for (const DTypeFacts& facts : dtype_facts) {
    if (facts.code == code) return {facts.dtype, has_order && text[0] == '>'};
  }
  throw array_fault("a dtype other than plain numbers");
}

inline void swap_byte_order(Bytes& bytes, std::size_t number_bytes) {
  for (auto number = bytes.begin(); number != bytes.end();) {
    const auto end = number + static_cast<std::ptrdiff_t>(number_bytes);
    std::reverse(number, end);
    number = end;
  }
}

inline Shape unpack_shape(const Map& fields) {
  const Value* value = find(fields, "shape");
  const List* sizes = value == nullptr ? nullptr : value->get_if<List>();
  if (sizes == nullptr || sizes->size() > max_dimensions) {
    throw array_fault("a 'shape' that is not a list of at most 8 sizes");
  }
  Shape shape;
  for (const Value& member : *sizes) {
    const auto* size = member.get_if<std::uint64_t>();
    if (size == nullptr || *size > largest_array_size) {
      throw array_fault("a 'shape' with something other than sizes");
    }
    shape.push_back(*size);
  }
  return shape;
}

inline void check_array_keys(const Map& fields) {
  constexpr std::array<std::string_view, 5> known{"nd", "type", "kind", "shape", "data"};
  for (const auto& member : fields) {
    if (std::find(known.begin(), known.end(), member.first) == known.end()) {
      throw array_fault("unknown keys");
    }
  }
}

inline bool is_empty_kind(const Value& kind) {
  const auto* bytes = kind.get_if<Bytes>();
  const auto* text = kind.get_if<std::string>();
  return (bytes != nullptr && bytes->empty()) || (text != nullptr && text->empty());
}

/// Returns the array in a decoded map; a NumPy scalar becomes an array without axes.
///
/// Raises RemoteProtocolError: a part is missing, of another type, or disagrees with the others.
inline Array unpack_array(Map fields) {
  check_array_keys(fields);
  const Value* nd = find(fields, "nd");
  const auto* is_array = nd == nullptr ? nullptr : nd->get_if<bool>();
  if (is_array == nullptr) throw array_fault("an 'nd' that is not a boolean");
  const Value* kind = find(fields, "kind");
  if (kind != nullptr && !is_empty_kind(*kind))
    throw array_fault("a kind other than plain numbers");
  const Value* type = find(fields, "type");
  const auto* text = type == nullptr ? nullptr : type->get_if<std::string>();
  const PackedType packed = parse_type_text(text == nullptr ? std::string_view() : *text);
  Value* data = find(fields, "data");
  auto* bytes = data == nullptr ? nullptr : data->get_if<Bytes>();
  if (bytes == nullptr) throw array_fault("'data' that is not binary");
  const Shape shape = *is_array ? unpack_shape(fields) : Shape{};
  const auto count = element_count(shape);
  if (!count || *count > largest_array_size || *count * item_bytes(packed.dtype) != bytes->size()) {
    throw array_fault(std::to_string(bytes->size()) + " bytes, which does not match its shape");
  }
  if (packed.is_big_endian) swap_byte_order(*bytes, facts_of(packed.dtype).number_bytes);
  return Array(packed.dtype, shape, std::move(*bytes));
}

}  // namespace headrace::detail
