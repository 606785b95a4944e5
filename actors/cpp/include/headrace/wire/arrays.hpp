// Arrays of plain numbers, in C order, as payload frames carry them.
#pragma once

#include <array>
#include <complex>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "headrace/wire/errors.hpp"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "headrace arrays are little-endian in memory"
#endif

namespace headrace {

using Bytes = std::vector<std::uint8_t>;
using Shape = std::vector<std::uint64_t>;

inline constexpr std::size_t max_dimensions = 8;
inline constexpr std::uint64_t largest_array_size = (std::uint64_t{1} << 48) - 1;

/// The type of an array's elements.
enum class DType {
  boolean,
  int8,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  float16,
  float32,
  float64,
  complex64,
  complex128,
};

namespace detail {

struct DTypeFacts {
  DType dtype;
  std::string_view code;  ///< NumPy's type code, without the byte order.
  std::string_view name;  ///< NumPy's name, as manifests write it.
  std::size_t item_bytes;
  std::size_t number_bytes;  ///< What a byte order applies to: half of a complex number.
};

inline constexpr std::array<DTypeFacts, 14> dtype_facts{{
    {DType::boolean, "b1", "bool", 1, 1},
    {DType::int8, "i1", "int8", 1, 1},
    {DType::int16, "i2", "int16", 2, 2},
    {DType::int32, "i4", "int32", 4, 4},
    {DType::int64, "i8", "int64", 8, 8},
    {DType::uint8, "u1", "uint8", 1, 1},
    {DType::uint16, "u2", "uint16", 2, 2},
    {DType::uint32, "u4", "uint32", 4, 4},
    {DType::uint64, "u8", "uint64", 8, 8},
    {DType::float16, "f2", "float16", 2, 2},
    {DType::float32, "f4", "float32", 4, 4},
    {DType::float64, "f8", "float64", 8, 8},
    {DType::complex64, "c8", "complex64", 8, 4},
    {DType::complex128, "c16", "complex128", 16, 8},
}};

inline const DTypeFacts& facts_of(DType dtype) {
  return dtype_facts[static_cast<std::size_t>(dtype)];
}

/// Returns the dtype of an element type; C++17 has none for float16.
template <class Element>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<Element, bool>) {
    return DType::boolean;
  } else if constexpr (std::is_same_v<Element, std::int8_t>) {
    return DType::int8;
  } else if constexpr (std::is_same_v<Element, std::int16_t>) {
    return DType::int16;
  } else if constexpr (std::is_same_v<Element, std::int32_t>) {
    return DType::int32;
  } else if constexpr (std::is_same_v<Element, std::int64_t>) {
    return DType::int64;
  } else if constexpr (std::is_same_v<Element, std::uint8_t>) {
    return DType::uint8;
  } else if constexpr (std::is_same_v<Element, std::uint16_t>) {
    return DType::uint16;
  } else if constexpr (std::is_same_v<Element, std::uint32_t>) {
    return DType::uint32;
  } else if constexpr (std::is_same_v<Element, std::uint64_t>) {
    return DType::uint64;
  } else if constexpr (std::is_same_v<Element, float>) {
    return DType::float32;
  } else if constexpr (std::is_same_v<Element, double>) {
    return DType::float64;
  } else if constexpr (std::is_same_v<Element, std::complex<float>>) {
    return DType::complex64;
  } else {
    static_assert(std::is_same_v<Element, std::complex<double>>, "no array has such elements");
    return DType::complex128;
  }
}

}  // namespace detail

/// Returns the size of one element.
inline std::size_t item_bytes(DType dtype) { return detail::facts_of(dtype).item_bytes; }

/// Returns NumPy's name of a dtype, such as `float32`.
inline std::string dtype_name(DType dtype) { return std::string(detail::facts_of(dtype).name); }

/// Returns the dtype with a NumPy name, if there is one.
inline std::optional<DType> dtype_named(std::string_view name) {
  for (const auto& facts : detail::dtype_facts) {
    if (facts.name == name) return facts.dtype;
  }
  return std::nullopt;
}

/// Returns the product of the sizes, or nothing if it does not fit into 64 bits.
inline std::optional<std::uint64_t> element_count(const Shape& shape) {
  std::uint64_t count = 1;
  for (const std::uint64_t size : shape) {
    if (size != 0 && count > UINT64_MAX / size) return std::nullopt;
    count *= size;
  }
  return count;
}

/// An array: element type, shape, and the elements' bytes in C order.
class Array {
 public:
  Array() : Array(DType::float32, {0}) {}

  /// Makes an array of zeros.
  Array(DType dtype, Shape shape) : Array(dtype, shape, zeros(dtype, shape)) {}

  /// Takes bytes in C order, little-endian.
  ///
  /// Raises LocalProtocolError: their number does not match the shape.
  Array(DType dtype, Shape shape, Bytes bytes)
      : dtype_(dtype), shape_(std::move(shape)), bytes_(std::move(bytes)) {
    if (bytes_.size() != size_bytes(dtype_, shape_)) {
      throw LocalProtocolError("an array of " + std::to_string(bytes_.size()) +
                               " bytes, which does not match its shape");
    }
  }

  /// Copies elements in C order.
  template <class Element>
  static Array of(Shape shape, const std::vector<Element>& elements) {
    static_assert(!std::is_same_v<Element, bool>, "std::vector<bool> has no elements in memory");
    Bytes bytes(elements.size() * sizeof(Element));
    if (!bytes.empty()) std::memcpy(bytes.data(), elements.data(), bytes.size());
    return Array(detail::dtype_of<Element>(), std::move(shape), std::move(bytes));
  }

  /// Copies elements of an array with one axis.
  template <class Element>
  static Array of(const std::vector<Element>& elements) {
    return of({elements.size()}, elements);
  }

  /// Makes an array without axes, such as a row of a scalar column.
  template <class Element>
  static Array scalar(Element element) {
    Bytes bytes(sizeof(Element));
    std::memcpy(bytes.data(), &element, sizeof(Element));
    return Array(detail::dtype_of<Element>(), {}, std::move(bytes));
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const Bytes& bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size() / item_bytes(dtype_); }

  /// Returns the elements, `size()` of them.
  ///
  /// Raises LocalProtocolError: the array has another dtype.
  template <class Element>
  const Element* data() const {
    if (detail::dtype_of<Element>() != dtype_) {
      throw LocalProtocolError("an array of " + dtype_name(dtype_) + " was read as " +
                               dtype_name(detail::dtype_of<Element>()));
    }
    return reinterpret_cast<const Element*>(bytes_.data());
  }

  template <class Element>
  Element* data() {
    return const_cast<Element*>(static_cast<const Array*>(this)->data<Element>());
  }

  bool operator==(const Array& other) const {
    return dtype_ == other.dtype_ && shape_ == other.shape_ && bytes_ == other.bytes_;
  }
  bool operator!=(const Array& other) const { return !(*this == other); }

 private:
  static std::size_t size_bytes(DType dtype, const Shape& shape) {
    const auto count = element_count(shape);
    if (!count || *count > largest_array_size) throw LocalProtocolError("an array is too large");
    return static_cast<std::size_t>(*count) * item_bytes(dtype);
  }

  static Bytes zeros(DType dtype, const Shape& shape) { return Bytes(size_bytes(dtype, shape)); }

  DType dtype_;
  Shape shape_;
  Bytes bytes_;
};

}  // namespace headrace
