// Identifiers in messages: names, counts and policy versions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>

#include "headrace/wire/utf8.hpp"

namespace headrace {

inline constexpr std::uint64_t max_safe_integer = (std::uint64_t{1} << 53) - 1;
inline constexpr std::uint64_t max_batch_count = std::uint64_t{1} << 40;
inline constexpr std::uint64_t max_epoch = std::uint64_t{1} << 32;
inline constexpr std::uint64_t wire_version = 1;

/// A version of the policy, ordered by epoch first: versions never go back for an actor.
struct PolicyVersion {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;

  friend bool operator==(const PolicyVersion& one, const PolicyVersion& other) {
    return one.tie() == other.tie();
  }
  friend bool operator!=(const PolicyVersion& one, const PolicyVersion& other) {
    return one.tie() != other.tie();
  }
  friend bool operator<(const PolicyVersion& one, const PolicyVersion& other) {
    return one.tie() < other.tie();
  }
  friend bool operator<=(const PolicyVersion& one, const PolicyVersion& other) {
    return one.tie() <= other.tie();
  }
  friend bool operator>=(const PolicyVersion& one, const PolicyVersion& other) {
    return one.tie() >= other.tie();
  }

 private:
  std::tuple<std::uint64_t, std::uint64_t> tie() const { return {epoch, number}; }
};

inline std::string to_text(const PolicyVersion& version) {
  return std::to_string(version.epoch) + "." + std::to_string(version.number);
}

namespace detail {

/// The range of an integer on the wire.
struct IntegerRule {
  std::uint64_t least = 0;
  std::uint64_t most = max_safe_integer;
};

/// Requires a number above 0.
struct AboveZero {};

/// Length, in characters, and alphabet of a text on the wire.
struct TextRule {
  std::size_t shortest;
  std::size_t longest;
  bool (*allows)(char) = nullptr;

  bool fits(std::string_view text) const {
    const auto length = utf8_length(text);
    if (!length || *length < shortest || *length > longest) return false;
    return allows == nullptr || std::all_of(text.begin(), text.end(), allows);
  }
};

inline constexpr IntegerRule count_rule{};
inline constexpr IntegerRule batch_count_rule{0, max_batch_count};
inline constexpr IntegerRule seq_rule{1, max_batch_count};
inline constexpr IntegerRule assignment_rule{1, max_safe_integer};
inline constexpr IntegerRule step_rule{1, std::uint64_t{1} << 31};

/// An actor id, run id or module id.
inline constexpr TextRule name_rule{1, 128, [](char c) { return c >= '!' && c <= '~'; }};
/// Human-readable text.
inline constexpr TextRule text_rule{0, 4096};
/// A hash in lower-case hexadecimal.
inline constexpr TextRule digest_rule{
    8, 128, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }};

}  // namespace detail

}  // namespace headrace
