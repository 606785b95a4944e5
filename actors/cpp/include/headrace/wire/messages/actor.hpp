// The messages between an actor and a broker.
//
// Each struct has its `kind`, its `payload_count`, and `describe` with its fields in the order of
// the wire. `headers.hpp` encodes and decodes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/identity.hpp"
#include "headrace/wire/messages/parts.hpp"

namespace headrace {

// ------------------------------------------------------------------ actor to broker (ingest)

/// The state of an actor; the broker resends what is missing.
struct Presence {
  static constexpr std::size_t payload_count = 0;

  std::string actor;
  std::uint64_t incarnation = 0;
  std::optional<PolicyVersion> version;      ///< The weights that it has.
  std::optional<std::string> policy_digest;  ///< The policy frame that it has.
  std::uint64_t last_seq = 0;                ///< The newest batch that it finished, sent or not.
  std::uint64_t acknowledged = 0;
  Totals totals;
  std::uint64_t env_steps = 0;  ///< Recorded so far.
  std::uint64_t unrecorded_env_steps = 0;
  bool evaluates = false;  ///< Whether it runs evaluation episodes when asked to.
  std::optional<std::uint64_t> broken_episodes;  ///< Dropped because their simulator failed.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("actor", self.actor, detail::name_rule);
    fields.required("incarnation", self.incarnation, detail::count_rule);
    fields.defaulted("version", self.version);
    fields.defaulted("policy_digest", self.policy_digest, detail::digest_rule);
    fields.defaulted("last_seq", self.last_seq, detail::batch_count_rule);
    fields.defaulted("acknowledged", self.acknowledged, detail::batch_count_rule);
    fields.defaulted("totals", self.totals);
    fields.defaulted("env_steps", self.env_steps, detail::count_rule);
    fields.defaulted("unrecorded_env_steps", self.unrecorded_env_steps, detail::count_rule);
    fields.defaulted("evaluates", self.evaluates);
    fields.optional("broken_episodes", self.broken_episodes, detail::count_rule);
  }
};

/// Announces an incarnation of an actor; repeated until a delivery answers it.
struct Hello : Presence {
  static constexpr const char* kind = "hello";

  std::uint64_t wire_min = wire_version;
  std::uint64_t wire_max = wire_version;
  std::string client;
  std::string host;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    Presence::describe(self, fields);
    fields.defaulted("wire_min", self.wire_min);
    fields.defaulted("wire_max", self.wire_max);
    fields.defaulted("client", self.client, detail::text_rule);
    fields.defaulted("host", self.host, detail::text_rule);
  }
};

/// Says that an actor lives, each second or as often as the beacon asks for.
struct Alive : Presence {
  static constexpr const char* kind = "alive";
};

/// Ends an incarnation on purpose.
struct Goodbye {
  static constexpr const char* kind = "goodbye";
  static constexpr std::size_t payload_count = 0;

  std::string actor;
  std::uint64_t incarnation = 0;
  std::uint64_t last_seq = 0;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("actor", self.actor, detail::name_rule);
    fields.required("incarnation", self.incarnation, detail::count_rule);
    fields.defaulted("last_seq", self.last_seq, detail::batch_count_rule);
  }
};

/// One batch; its payload is the result of `pack_batch`.
struct Trajectories {
  static constexpr const char* kind = "trajectories";
  static constexpr std::size_t payload_count = 1;

  std::string actor;
  std::uint64_t incarnation = 0;
  std::uint64_t seq = 1;
  std::string run;
  PolicyVersion version;  ///< The one policy version that acted.
  std::uint64_t env_steps = 1;
  std::string purpose = "train";  ///< Or `evaluate`.
  std::optional<std::string> task;
  bool sent_before = false;                ///< It may have arrived already.
  std::optional<std::string> compression;  ///< Of the payload.
  std::optional<bool> more;                ///< The evaluation episode continues in another batch.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("actor", self.actor, detail::name_rule);
    fields.required("incarnation", self.incarnation, detail::count_rule);
    fields.required("seq", self.seq, detail::seq_rule);
    fields.required("run", self.run, detail::name_rule);
    fields.required("version", self.version);
    fields.required("env_steps", self.env_steps, detail::step_rule);
    fields.defaulted("purpose", self.purpose, detail::name_rule);
    fields.defaulted("task", self.task, detail::name_rule);
    fields.defaulted("sent_before", self.sent_before);
    fields.optional("compression", self.compression, detail::name_rule);
    fields.optional("more", self.more);
  }
};

// ------------------------------------------------------------------ broker to actor (control)

/// The delivery state of one incarnation: cumulative, so any copy may be lost or repeated.
struct Delivery {
  static constexpr const char* kind = "delivery";
  static constexpr std::size_t payload_count = 0;

  std::uint64_t broker = 0;  ///< The broker's incarnation.
  std::uint64_t incarnation = 0;
  std::uint64_t accepted = 0;
  std::uint64_t acknowledged = 0;
  Totals totals;
  std::optional<Credit> credit;
  bool gap = false;     ///< Send again from `accepted + 1` on.
  bool accepts = true;  ///< Whether the broker accepts batches now.
  std::optional<EvaluationTask> task;
  std::optional<Assignment> assignment;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("broker", self.broker, detail::count_rule);
    fields.required("incarnation", self.incarnation, detail::count_rule);
    fields.required("accepted", self.accepted, detail::batch_count_rule);
    fields.required("acknowledged", self.acknowledged, detail::batch_count_rule);
    fields.required("totals", self.totals);
    fields.defaulted("credit", self.credit);
    fields.defaulted("gap", self.gap);
    fields.defaulted("accepts", self.accepts);
    fields.defaulted("task", self.task);
    fields.optional("assignment", self.assignment);
  }
};

/// Reports why a batch (with `seq`) or an incarnation (without) was rejected.
struct Reject {
  static constexpr const char* kind = "reject";
  static constexpr std::size_t payload_count = 0;

  std::uint64_t incarnation = 0;
  RejectCode code = RejectCode::other;
  std::string reason;
  std::optional<std::uint64_t> seq;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("incarnation", self.incarnation, detail::count_rule);
    fields.required("code", self.code);
    fields.required("reason", self.reason, detail::text_rule);
    fields.defaulted("seq", self.seq, detail::batch_count_rule);
  }
};

/// Announces the broker and the newest version to all actors once a second.
struct Beacon {
  static constexpr const char* kind = "beacon";
  static constexpr std::size_t payload_count = 0;

  std::uint64_t broker = 0;
  std::uint64_t wire_min = wire_version;
  std::uint64_t wire_max = wire_version;
  std::optional<std::string> run;
  std::optional<PolicyVersion> version;
  std::optional<bool> learner;  ///< Whether one is connected; nothing if the broker does not say.
  std::optional<std::uint64_t> max_payload_bytes;  ///< The largest payload that the broker takes.
  std::optional<double> presence_s;  ///< From one `alive` to the next; nothing for a second.

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("broker", self.broker, detail::count_rule);
    fields.defaulted("wire_min", self.wire_min);
    fields.defaulted("wire_max", self.wire_max);
    fields.defaulted("run", self.run, detail::name_rule);
    fields.defaulted("version", self.version);
    fields.optional("learner", self.learner);
    fields.optional("max_payload_bytes", self.max_payload_bytes, detail::count_rule);
    fields.optional("presence_s", self.presence_s, detail::AboveZero{});
  }
};

// ------------------------------------------------------------------ broker to actor (weights)

/// Identifies the weights in a message of the weights endpoint.
struct WeightsHeader {
  std::string run;
  PolicyVersion version;
  std::string policy_digest;

  template <class Self, class Fields>
  static void describe(Self& self, Fields& fields) {
    fields.required("run", self.run, detail::name_rule);
    fields.required("version", self.version);
    fields.required("policy_digest", self.policy_digest, detail::digest_rule);
  }
};

/// New weights for a policy that the actor has already.
struct Weights : WeightsHeader {
  static constexpr const char* kind = "weights";
  static constexpr std::size_t payload_count = 1;
};

/// For actors that join late: the policy frame and the weights frame.
struct Snapshot : WeightsHeader {
  static constexpr const char* kind = "snapshot";
  static constexpr std::size_t payload_count = 2;
};

using IngestMessage = std::variant<Hello, Alive, Goodbye, Trajectories>;
using ControlMessage = std::variant<Delivery, Reject, Beacon>;
using WeightsMessage = std::variant<Weights, Snapshot>;

}  // namespace headrace
