// Fits what simulators return to the columns that the learner declares.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "headrace/wire/arrays.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/manifest.hpp"

namespace headrace {

namespace detail {

inline std::string described(DType dtype, const Shape& shape) {
  std::string sizes;
  for (const std::uint64_t size : shape) {
    sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
  }
  return dtype_name(dtype) + " of shape [" + sizes + "]";
}

/// Calls `function` with a zero of the dtype's element type; returns false if there is none.
template <class Function>
bool with_element_of(DType dtype, Function function) {
  switch (dtype) {
    case DType::int8:
      return function(std::int8_t{});
    case DType::int16:
      return function(std::int16_t{});
    case DType::int32:
      return function(std::int32_t{});
    case DType::int64:
      return function(std::int64_t{});
    case DType::boolean:
    case DType::uint8:
      return function(std::uint8_t{});
    case DType::uint16:
      return function(std::uint16_t{});
    case DType::uint32:
      return function(std::uint32_t{});
    case DType::uint64:
      return function(std::uint64_t{});
    case DType::float32:
      return function(float{});
    case DType::float64:
      return function(double{});
    default:
      return false;
  }
}

/// Returns whether an integer has the same value in another integer type.
template <class Target, class Source>
bool fits(Source value) {
  if constexpr (std::is_signed_v<Source>) {
    if (value < 0) {
      return std::is_signed_v<Target> &&
             static_cast<std::int64_t>(value) >=
                 static_cast<std::int64_t>(std::numeric_limits<Target>::min());
    }
  }
  return static_cast<std::uint64_t>(value) <=
         static_cast<std::uint64_t>(std::numeric_limits<Target>::max());
}

/// Returns whether an element has, up to rounding, the same value in another type.
template <class Target, class Source>
bool is_safe(Source value) {
  if constexpr (std::is_floating_point_v<Target>) {
    return true;
  } else if constexpr (std::is_floating_point_v<Source>) {
    return false;
  } else {
    return fits<Target>(value);
  }
}

/// Writes elements to bytes of another type; returns whether that was safe for each of them.
template <class Source, class Target>
bool convert_elements(const Array& row, Bytes& bytes) {
  for (std::size_t index = 0; index < row.size(); ++index) {
    Source value;
    std::memcpy(&value, row.bytes().data() + index * sizeof(Source), sizeof(Source));
    if (!is_safe<Target>(value)) return false;
    const auto converted = static_cast<Target>(value);
    std::memcpy(bytes.data() + index * sizeof(Target), &converted, sizeof(Target));
  }
  return true;
}

inline bool convert(const Array& row, DType dtype, Bytes& bytes) {
  if (dtype == DType::boolean) return false;
  return with_element_of(row.dtype(), [&](auto source) {
    return with_element_of(dtype, [&](auto target) {
      return convert_elements<decltype(source), decltype(target)>(row, bytes);
    });
  });
}

inline bool is_finite(const Array& row) {
  return !with_element_of(row.dtype(), [&](auto element) {
    using Element = decltype(element);
    for (std::size_t index = 0; index < row.size(); ++index) {
      Element value;
      std::memcpy(&value, row.bytes().data() + index * sizeof(Element), sizeof(Element));
      if constexpr (std::is_floating_point_v<Element>) {
        if (!std::isfinite(value)) return true;
      }
    }
    return false;
  });
}

}  // namespace detail

/// Returns a row in the dtype of its column.
///
/// Converted are floats to floats, integers and flags to floats, and integers to integers that can
/// hold them.
///
/// Raises LocalProtocolError: the shape is another one, the conversion would change values, or a
/// value is not finite.
inline Array fit_row(const TensorSpec& column, const Array& row) {
  const auto differs = [&] {
    return LocalProtocolError("the simulator's '" + column.name + "' is " +
                              detail::described(row.dtype(), row.shape()) +
                              ", the learner expects " +
                              detail::described(column.dtype, column.shape) +
                              ": do both use the same environment?");
  };
  if (row.shape() != column.shape) throw differs();
  Bytes bytes;
  if (row.dtype() == column.dtype) {
    bytes = row.bytes();
  } else {
    bytes.resize(row.size() * item_bytes(column.dtype));
    if (!detail::convert(row, column.dtype, bytes)) throw differs();
  }
  Array fitted(column.dtype, column.shape, std::move(bytes));
  if (!detail::is_finite(fitted)) {
    throw LocalProtocolError("the simulator's '" + column.name +
                             "' contains a value that is not finite");
  }
  return fitted;
}

}  // namespace headrace
