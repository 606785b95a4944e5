// An invitation: one line of text with which an actor joins a broker that requires keys.
//
// The line holds a secret key: it belongs in a file that only its user can read, and not on a
// command line, which every process can see.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/identity.hpp"

namespace headrace {

namespace detail {

inline int base64_digit(char character) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const std::size_t at = digits.find(character);
  return at == digits.npos ? -1 : static_cast<int>(at);
}

/// Decodes URL-safe base64 with padding; returns nothing if it is malformed.
inline std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string decoded;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char character : text) {
    const int digit = base64_digit(character);
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      decoded += static_cast<char>(bits >> held & 0xFFU);
    }
  }
  return decoded;
}

/// Reads a flat JSON object of strings: the content of an invitation.
class FlatJson {
 public:
  using Members = std::map<std::string, std::string>;

  explicit FlatJson(std::string_view text) : left_(text) {}

  /// Returns the members, or nothing if the text is anything else.
  std::optional<Members> read() {
    Members members;
    if (!skip('{')) return std::nullopt;
    do {
      const auto name = read_text();
      if (!name || !skip(':')) return std::nullopt;
      const auto value = read_text();
      if (!value || !members.emplace(*name, *value).second) return std::nullopt;
    } while (skip(','));
    return skip('}') && left_.empty() ? std::optional(members) : std::nullopt;
  }

 private:
  void skip_space() {
    while (!left_.empty() && std::string_view(" \t\r\n").find(left_[0]) != left_.npos) {
      left_.remove_prefix(1);
    }
  }

  bool skip(char expected) {
    skip_space();
    if (left_.empty() || left_[0] != expected) return false;
    left_.remove_prefix(1);
    skip_space();
    return true;
  }

  std::optional<std::string> read_text() {
    if (left_.empty() || left_[0] != '"') return std::nullopt;
    left_.remove_prefix(1);
    std::string text;
    while (!left_.empty() && left_[0] != '"') {
      const bool is_escaped = left_[0] == '\\';
      if (is_escaped) left_.remove_prefix(1);
      // Names and keys are printable, so JSON only escapes single characters in them.
      if (left_.empty() || (is_escaped && std::string_view("\"\\/").find(left_[0]) == left_.npos)) {
        return std::nullopt;
      }
      text += left_[0];
      left_.remove_prefix(1);
    }
    if (left_.empty()) return std::nullopt;
    left_.remove_prefix(1);
    return text;
  }

  std::string_view left_;
};

inline bool is_key(std::string_view text) {
  constexpr std::string_view others = ".-:+=^!/*?&<>()[]{}@%$#";
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [others](char c) {
           const bool is_digit = c >= '0' && c <= '9';
           const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return is_digit || is_letter || others.find(c) != others.npos;
         });
}

}  // namespace detail

/// The broker's address, the invited role and name, and the keys in ZeroMQ's Z85 encoding.
struct Invitation {
  std::string address;
  std::string role;  ///< `actor` or `learner`.
  std::string name;  ///< An actor's id is this, or begins with this and a dot.
  std::string server_key;
  std::string secret_key;

  /// Returns whether the invitation allows an actor id; one invitation serves a fleet.
  bool may_speak_for(const std::string& actor) const {
    return actor == name || actor.compare(0, name.size() + 1, name + ".") == 0;
  }

  /// Returns the invitation in a line.
  ///
  /// Raises ConfigError: the line is no invitation. The message does not repeat the line.
  static Invitation parse(std::string line) {
    constexpr std::string_view prefix = "headrace-invitation-1:";
    while (!line.empty() && std::string_view(" \t\r\n").find(line.back()) != line.npos) {
      line.pop_back();
    }
    if (line.compare(0, prefix.size(), prefix) != 0) {
      throw ConfigError("this is not an invitation: an invitation is a line that begins with '" +
                        std::string(prefix) + "', as printed by `headrace invite`");
    }
    const auto decoded = detail::decode_base64(std::string_view(line).substr(prefix.size()));
    auto members = decoded ? detail::FlatJson(*decoded).read() : std::nullopt;
    if (!members) throw damaged();
    Invitation found;
    for (auto [name, field] :
         {std::pair("address", &found.address), std::pair("role", &found.role),
          std::pair("name", &found.name), std::pair("server_key", &found.server_key),
          std::pair("secret_key", &found.secret_key)}) {
      if (members->count(name) == 0) throw damaged();
      *field = members->at(name);
    }
    const bool is_sound = detail::is_key(found.server_key) && detail::is_key(found.secret_key) &&
                          detail::name_rule.fits(found.name) && members->size() == 5;
    if (!is_sound) throw damaged();
    return found;
  }

 private:
  static ConfigError damaged() {
    return ConfigError("this invitation is damaged; ask for another one");
  }
};

}  // namespace headrace
