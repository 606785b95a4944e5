// The one tree of errors.
//
//     Error
//     ├── ConfigError            an argument cannot work; the message says what to write
//     ├── RefusedError           the other side will not serve this process (carries a RejectCode)
//     │   └── UnknownEpisodeError    the policy server does not know an episode: begin another one
//     ├── LocalProtocolError     this side tried something illegal: a bug here
//     └── RemoteProtocolError    the peer did: drop its message and continue
#pragma once

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace headrace {

/// Why a message, a batch or a process was rejected.
enum class RejectCode {
  malformed,
  unknown_kind,
  unsupported_version,
  oversized,
  invalid_batch,
  wrong_run,
  unexpected_purpose,
  superseded,
  poison,
  unknown_session,
  learner_exists,
  invalid_policy,
  forbidden,
  too_much,
  quarantined,
  unknown_episode,
  invalid_turn,
  other,  ///< One that a later release has added.
};

namespace detail {

inline constexpr std::array<std::pair<RejectCode, std::string_view>, 18> reject_code_names{{
    {RejectCode::malformed, "malformed"},
    {RejectCode::unknown_kind, "unknown_kind"},
    {RejectCode::unsupported_version, "unsupported_version"},
    {RejectCode::oversized, "oversized"},
    {RejectCode::invalid_batch, "invalid_batch"},
    {RejectCode::wrong_run, "wrong_run"},
    {RejectCode::unexpected_purpose, "unexpected_purpose"},
    {RejectCode::superseded, "superseded"},
    {RejectCode::poison, "poison"},
    {RejectCode::unknown_session, "unknown_session"},
    {RejectCode::learner_exists, "learner_exists"},
    {RejectCode::invalid_policy, "invalid_policy"},
    {RejectCode::forbidden, "forbidden"},
    {RejectCode::too_much, "too_much"},
    {RejectCode::quarantined, "quarantined"},
    {RejectCode::unknown_episode, "unknown_episode"},
    {RejectCode::invalid_turn, "invalid_turn"},
    {RejectCode::other, "other"},
}};

}  // namespace detail

/// Returns a code as it is written on the wire.
inline std::string to_text(RejectCode code) {
  for (const auto& [known, name] : detail::reject_code_names) {
    if (known == code) return std::string(name);
  }
  return "other";
}

/// Returns the code of a text on the wire.
inline RejectCode reject_code(std::string_view text) {
  for (const auto& [code, name] : detail::reject_code_names) {
    if (name == text) return code;
  }
  return RejectCode::other;
}

/// Base of every error that headrace raises on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An option or an argument cannot work; the message says what to write instead.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// The broker or the policy server will not serve this process; asking again would not help.
class RefusedError : public Error {
 public:
  RefusedError(RejectCode code, const std::string& reason)
      : Error("refused (" + to_text(code) + "): " + reason), code_(code), reason_(reason) {}

  RejectCode code() const { return code_; }
  const std::string& reason() const { return reason_; }

 private:
  RejectCode code_;
  std::string reason_;
};

/// The policy server was restarted, or ended the episode: begin another one with `start_episode`.
class UnknownEpisodeError : public RefusedError {
 public:
  explicit UnknownEpisodeError(const std::string& reason)
      : RefusedError(RejectCode::unknown_episode, reason) {}
};

/// This side tried something that the protocol forbids.
class LocalProtocolError : public Error {
 public:
  using Error::Error;
};

/// A peer's bytes are not a legal message.
class RemoteProtocolError : public Error {
 public:
  RemoteProtocolError(RejectCode code, const std::string& reason)
      : Error(to_text(code) + ": " + reason), code_(code), reason_(reason) {}

  RejectCode code() const { return code_; }
  const std::string& reason() const { return reason_; }

 private:
  RejectCode code_;
  std::string reason_;
};

}  // namespace headrace
