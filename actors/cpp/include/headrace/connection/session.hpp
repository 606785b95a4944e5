// An actor's side of the conversation with a broker, as a pure state machine.
//
// Pass it the messages of the two SUB sockets, and send what `next_presence` and `next_batch`
// return.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/connection/endpoint_watch.hpp"
#include "headrace/connection/presence_schedule.hpp"
#include "headrace/wire/clock.hpp"
#include "headrace/wire/endpoints.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/limits.hpp"
#include "headrace/wire/manifest.hpp"
#include "headrace/wire/messages/actor.hpp"
#include "headrace/wire/messages/headers.hpp"
#include "headrace/wire/payload.hpp"
#include "headrace/wire/sender.hpp"

namespace headrace {

/// Tensors by module id and name.
using ModuleWeights = std::map<std::string, std::map<std::string, Array>>;

/// The newest policy that an actor may act with.
struct PolicyUpdate {
  PolicyVersion version;
  std::string digest;  ///< Equal while only weights change: a graph need not be loaded again.
  std::shared_ptr<const Policy> policy;
  ModuleWeights weights;
};

/// A finished batch, encoded once for all transmissions.
struct PushedBatch {
  PolicyVersion version;
  std::string run;
  std::uint64_t env_steps = 0;
  Bytes payload;
  std::optional<std::string> task =
      std::nullopt;  ///< Of the assignment under which it was recorded.
  std::optional<std::string> compression = std::nullopt;
};

/// A message for ingest; the payload is valid until the session is called again.
struct OutgoingBatch {
  std::uint64_t seq;
  Bytes header;
  const Bytes& payload;
};

/// The identity and the settings of an actor's process.
struct SessionConfig {
  std::string actor;
  std::uint64_t incarnation = 1;  ///< Random, drawn once per process.
  std::string client = "headrace cpp";
  std::string host;
  Seconds presence{1.0};  ///< Time between presence messages.
  ResendPolicy resend;
  DecodeLimits limits;
  std::uint64_t seed = 0;  ///< Of the jitter.
};

/// Delivery, presence and policy of one incarnation of an actor.
class ActorSession {
 public:
  explicit ActorSession(SessionConfig config)
      : config_(std::move(config)),
        sender_(config_.seed, config_.resend),
        presence_(config_.presence) {}

  // ---------------------------------------------------------------- incoming

  /// Takes a message of the control endpoint, without its topic.
  ///
  /// Raises RemoteProtocolError: the message is not legal; drop it and continue.
  void on_control(const Frames& frames, TimePoint now) {
    const auto message = decode_header<ControlMessage>(frames, config_.limits);
    watch_.hear(Endpoint::control, now);
    std::visit([this, now](const auto& kind) { take(kind, now); }, message);
  }

  /// Takes a message of the weights endpoint, without its topic; an older version is dropped.
  ///
  /// Raises RemoteProtocolError: the message is not legal; drop it and continue.
  void on_weights(Frames frames) {
    const auto message = decode_header<WeightsMessage>(frames, config_.limits);
    if (const auto* snapshot = std::get_if<Snapshot>(&message)) {
      take_snapshot(*snapshot, frames[1], std::move(frames[2]));
    } else if (const auto& weights = std::get<Weights>(message);
               received_ && weights.policy_digest == received_->digest) {
      take_weights(received_->policy, weights, std::move(frames[1]));
    }
  }

  /// Notes that the connection to ingest was lost: asks for the delivery state before sending more.
  void on_disconnect(TimePoint now) {
    sender_.lose_connection();
    presence_.hasten(now);
  }

  /// Returns, once, the endpoints that look connected and are not: reconnect them.
  std::vector<Endpoint> take_silent_endpoints(TimePoint now) { return watch_.take_overdue(now); }

  /// Returns, once, the rejects that have arrived.
  std::vector<Reject> take_rejects() { return std::exchange(rejects_, {}); }

  /// The reason why the broker will not serve this actor, if it has refused.
  const std::optional<RefusedError>& refusal() const { return refusal_; }

  // ---------------------------------------------------------------- for the simulator

  const std::string& actor() const { return config_.actor; }

  /// The run of the newest policy.
  std::optional<std::string> run() const {
    if (!received_) return std::nullopt;
    return received_->policy->manifest.run;
  }

  /// The newest policy version that has arrived.
  std::optional<PolicyVersion> newest_version() const {
    if (!received_) return std::nullopt;
    return received_->version;
  }

  /// The learner's assignment for episodes that begin now.
  const std::optional<Assignment>& assignment() const { return assignment_; }

  /// The delivery state, for inspection.
  const Sender<PushedBatch>& sender() const { return sender_; }

  /// Batches that the broker does not have yet.
  std::uint64_t unaccepted() const { return sender_.last_seq() - sender_.accepted(); }

  /// Returns whether a batch may be begun with the newest weights.
  bool may_begin() const { return received_ && sender_.may_begin(received_->version); }

  /// Returns whether a batch of that version would be stale on arrival.
  bool is_outdated(const PolicyVersion& version) const {
    return sender_.credit() && version < sender_.credit()->min_version;
  }

  /// Returns the newest policy, decoded once, or null before the first snapshot.
  ///
  /// Raises RemoteProtocolError: the weights cannot be decoded.
  std::shared_ptr<const PolicyUpdate> policy_update() {
    if (!update_ && received_) {
      update_ = std::make_shared<const PolicyUpdate>(
          PolicyUpdate{received_->version, received_->digest, received_->policy,
                       decode_weights(received_->weights_frame)});
    }
    return update_;
  }

  void count_unrecorded(std::uint64_t env_steps) { unrecorded_env_steps_ += env_steps; }

  void count_broken_episode() { ++broken_episodes_; }

  /// Takes a finished batch, and returns its seq.
  ///
  /// Raises LocalProtocolError: it was begun without credit; call `may_begin` first.
  std::uint64_t push(PushedBatch batch) {
    if (sender_.last_seq() >= permitted_up_to_) {
      throw LocalProtocolError("a batch was pushed that was begun without credit");
    }
    env_steps_ += batch.env_steps;
    return sender_.enter(std::move(batch));
  }

  // ---------------------------------------------------------------- outgoing

  /// Returns a hello, or an alive once the present broker has answered one, when it is due.
  std::optional<Bytes> next_presence(TimePoint now) {
    if (now < presence_.due()) return std::nullopt;
    const bool is_hello = !sender_.broker() || sender_.broker() != broker_heard_;
    presence_.note_sent(now, is_hello);
    if (!is_hello) {
      Alive alive;
      fill(alive);
      return encode_header(alive);
    }
    Hello hello;
    fill(hello);
    hello.client = config_.client;
    hello.host = config_.host;
    return encode_header(hello);
  }

  /// Returns the next batch to transmit; then call `mark_sent`.
  std::optional<OutgoingBatch> next_batch(TimePoint now) {
    const auto due = sender_.next_due(now);
    if (!due) return std::nullopt;
    Trajectories header;
    header.actor = config_.actor;
    header.incarnation = config_.incarnation;
    header.seq = due->seq;
    header.run = due->item.run;
    header.version = due->item.version;
    header.env_steps = due->item.env_steps;
    header.task = due->item.task;
    header.compression = due->item.compression;
    header.sent_before = due->sent_before;
    return OutgoingBatch{due->seq, encode_header(header), due->item.payload};
  }

  /// Notes that the batch from `next_batch` was sent.
  void mark_sent(std::uint64_t seq, TimePoint now) { sender_.mark_sent(seq, now); }

  /// Returns the message that ends this incarnation.
  Bytes goodbye() const {
    Goodbye message;
    message.actor = config_.actor;
    message.incarnation = config_.incarnation;
    message.last_seq = sender_.last_seq();
    return encode_header(message);
  }

  /// When something becomes due without a message.
  TimePoint next_event_at() const { return std::min(presence_.due(), sender_.next_event_at()); }

 private:
  struct Received {
    PolicyVersion version;
    std::string digest;
    std::shared_ptr<const Policy> policy;
    Bytes weights_frame;
  };

  void take(const Delivery& delivery, TimePoint now) {
    if (delivery.incarnation != config_.incarnation) return;
    watch_.hear(Endpoint::ingest, presence_.silent_since(now));
    broker_heard_ = delivery.broker;
    sender_.receive(delivery, now);
    // A broker that has just started grants no credit, and does not know the assignment yet.
    if (delivery.credit || delivery.assignment) assignment_ = delivery.assignment;
    // A batch may be begun under one broker's credit and finished under another's.
    if (delivery.credit) permitted_up_to_ = std::max(permitted_up_to_, delivery.credit->up_to);
  }

  void take(const Reject& reject, TimePoint) {
    if (reject.incarnation != config_.incarnation) return;
    rejects_.push_back(reject);
    const bool is_fatal =
        reject.code == RejectCode::superseded || reject.code == RejectCode::unsupported_version;
    if (is_fatal && !reject.seq) refusal_.emplace(reject.code, reject.reason);
  }

  void take(const Beacon& beacon, TimePoint now) {
    presence_.follow(Seconds{beacon.presence_s.value_or(1.0)});
    if (!beacon.version || beacon.version == newest_version()) {
      watch_.hear(Endpoint::weights, now);
    }
    if (broker_heard_ == beacon.broker) return;
    broker_heard_ = beacon.broker;
    presence_.hasten(now);
  }

  void take_snapshot(const Snapshot& message, const Bytes& policy_frame, Bytes weights_frame) {
    std::shared_ptr<const Policy> policy;
    if (received_ && message.policy_digest == received_->digest) {
      policy = received_->policy;
    } else if (policy_digest(policy_frame) == message.policy_digest) {
      policy = std::make_shared<const Policy>(decode_policy(policy_frame));
    } else {
      throw RemoteProtocolError(RejectCode::invalid_policy,
                                "a policy frame that differs from its digest");
    }
    take_weights(policy, message, std::move(weights_frame));
  }

  /// Keeps weights undecoded, unless they are older than those of the same run.
  void take_weights(std::shared_ptr<const Policy> policy, const WeightsHeader& message,
                    Bytes weights_frame) {
    if (received_ && run() == message.run && message.version <= received_->version) return;
    received_ = Received{message.version, message.policy_digest, std::move(policy),
                         std::move(weights_frame)};
    update_.reset();
  }

  ModuleWeights decode_weights(const Bytes& frame) const {
    ModuleWeights weights;
    for (auto& [module, value] : decode_payload(frame, config_.limits)) {
      Map* tensors = value.get_if<Map>();
      if (tensors == nullptr) throw weights_fault();
      for (auto& [name, tensor] : *tensors) {
        Array* array = tensor.get_if<Array>();
        if (array == nullptr) throw weights_fault();
        weights[module][name] = std::move(*array);
      }
    }
    return weights;
  }

  static RemoteProtocolError weights_fault() {
    return RemoteProtocolError(RejectCode::malformed, "weights that are not arrays by module");
  }

  void fill(Presence& presence) const {
    presence.actor = config_.actor;
    presence.incarnation = config_.incarnation;
    presence.version = newest_version();
    if (received_) presence.policy_digest = received_->digest;
    presence.last_seq = sender_.last_seq();
    presence.acknowledged = sender_.acknowledged();
    presence.totals = sender_.totals();
    presence.env_steps = env_steps_;
    presence.unrecorded_env_steps = unrecorded_env_steps_;
    if (broken_episodes_ > 0) presence.broken_episodes = broken_episodes_;
  }

  SessionConfig config_;
  Sender<PushedBatch> sender_;
  std::optional<std::uint64_t> broker_heard_;
  std::uint64_t permitted_up_to_ = 0;
  std::optional<Assignment> assignment_;
  PresenceSchedule presence_;
  EndpointWatch watch_;
  std::optional<Received> received_;
  std::shared_ptr<const PolicyUpdate> update_;
  std::vector<Reject> rejects_;
  std::optional<RefusedError> refusal_;
  std::uint64_t env_steps_ = 0;
  std::uint64_t unrecorded_env_steps_ = 0;
  std::uint64_t broken_episodes_ = 0;
};

}  // namespace headrace
