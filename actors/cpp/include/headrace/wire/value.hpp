// The content of a msgpack frame: a tree of maps, lists, numbers, text and arrays.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/wire/arrays.hpp"

namespace headrace {

class Value;
using List = std::vector<Value>;
/// Members in the order in which they are written.
using Map = std::vector<std::pair<std::string, Value>>;

/// One value. Non-negative integers are held as unsigned ones.
class Value {
 public:
  using Nil = std::monostate;

  Value() = default;
  Value(bool value) : held_(value) {}
  Value(double value) : held_(value) {}
  Value(const char* value) : held_(std::string(value)) {}
  Value(std::string value) : held_(std::move(value)) {}
  Value(Bytes value) : held_(std::move(value)) {}
  Value(Array value) : held_(std::move(value)) {}
  Value(List value) : held_(std::move(value)) {}
  Value(Map value) : held_(std::move(value)) {}

  template <class Integer,
            class = std::enable_if_t<std::is_integral_v<Integer> && !std::is_same_v<Integer, bool>>>
  Value(Integer value) {
    if constexpr (std::is_signed_v<Integer>) {
      if (value < 0) {
        held_ = static_cast<std::int64_t>(value);
        return;
      }
    }
    held_ = static_cast<std::uint64_t>(value);
  }

  bool is_nil() const { return std::holds_alternative<Nil>(held_); }

  /// Returns the held value if it is of that type, else null.
  template <class Held>
  const Held* get_if() const {
    return std::get_if<Held>(&held_);
  }

  template <class Held>
  Held* get_if() {
    return std::get_if<Held>(&held_);
  }

  /// Returns the value as an integer, if it is one.
  std::optional<std::int64_t> integer() const {
    if (const auto* negative = get_if<std::int64_t>()) return *negative;
    const auto* natural = get_if<std::uint64_t>();
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (natural == nullptr || *natural > most) return std::nullopt;
    return static_cast<std::int64_t>(*natural);
  }

  /// Returns the value as a floating-point number, if it is a number.
  std::optional<double> number() const {
    if (const auto* real = get_if<double>()) return *real;
    if (const auto* natural = get_if<std::uint64_t>()) return static_cast<double>(*natural);
    if (const auto* negative = get_if<std::int64_t>()) return static_cast<double>(*negative);
    return std::nullopt;
  }

  /// Returns the numbers of a list, if the value is a list of numbers.
  std::optional<std::vector<double>> numbers() const {
    const auto* list = get_if<List>();
    if (list == nullptr) return std::nullopt;
    std::vector<double> found;
    for (const Value& member : *list) {
      const auto number = member.number();
      if (!number) return std::nullopt;
      found.push_back(*number);
    }
    return found;
  }

  template <class Visitor>
  decltype(auto) visit(Visitor&& visitor) const {
    return std::visit(std::forward<Visitor>(visitor), held_);
  }

 private:
  std::variant<Nil, bool, std::uint64_t, std::int64_t, double, std::string, Bytes, Array, List, Map>
      held_;
};

/// Returns the member of a map with a name, or null; the last one if there are several.
inline const Value* find(const Map& map, std::string_view name) {
  for (auto member = map.rbegin(); member != map.rend(); ++member) {
    if (member->first == name) return &member->second;
  }
  return nullptr;
}

inline Value* find(Map& map, std::string_view name) {
  return const_cast<Value*>(find(static_cast<const Map&>(map), name));
}

}  // namespace headrace
