// The object through which a simulator talks to the broker.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "headrace/connection/actor_ids.hpp"
#include "headrace/connection/config.hpp"
#include "headrace/connection/loop.hpp"
#include "headrace/connection/session.hpp"
#include "headrace/connection/sockets.hpp"
#include "headrace/connection/zmq.hpp"
#include "headrace/wire/broker_choice.hpp"
#include "headrace/wire/clock.hpp"
#include "headrace/wire/compression.hpp"
#include "headrace/wire/endpoints.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/identity.hpp"
#include "headrace/wire/manifest.hpp"
#include "headrace/wire/messages/parts.hpp"
#include "headrace/wire/trajectory.hpp"

namespace headrace {

/// Permission to begin a batch: the policy to act with, and how long the batch may be.
struct BatchPermit {
  std::shared_ptr<const PolicyUpdate> update;
  Credit credit;
};

namespace detail {

inline SessionConfig session_config(const ClientConfig& config) {
  SessionConfig session;
  session.actor = actor_id_of(config.actor, config.invitation);
  session.incarnation = random_number() % max_safe_integer + 1;
  session.client = config.client;
  session.host = host_name();
  session.presence = config.presence;
  session.resend = config.resend;
  session.limits = config.limits;
  session.seed = random_number();
  return session;
}

inline std::string address_of(const ClientConfig& config) {
  if (!config.address.empty()) return config.address;
  return config.invitation ? config.invitation->address : default_address;
}

/// Returns the broker that an actor uses: of several, the one that its id chooses.
inline BrokerAddress broker_of(const ClientConfig& config, const std::string& actor) {
  const std::vector<std::string> addresses = split_addresses(address_of(config));
  for (const std::string& address : addresses) BrokerAddress::parse(address);
  const std::string chosen = choose_broker(addresses, actor);
  if (addresses.size() > 1 && config.log) {
    config.log("actor " + actor + " uses the broker at " + chosen + ", of " +
               std::to_string(addresses.size()));
  }
  return BrokerAddress::parse(chosen);
}

}  // namespace detail

/// Connects a simulator to a broker; safe to use from several threads.
///
/// A thread owns the sockets, so the actor stays alive to the broker while the simulator computes.
/// The broker need not be there yet, and may go away and come back.
///
/// `begin` a batch, act with the policy that it returns, close the batch at `credit.fragment_steps`
/// env steps or after `credit.fragment_s` seconds, and `push` it; RecordingAgent does all of this.
/// A simulator that cannot wait calls `may_begin`, steps without recording while it is false, and
/// reports those steps with `count_unrecorded`.
class Client {
 public:
  /// Raises ConfigError: the address or the actor id is malformed, or the invitation is for another
  /// id.
  explicit Client(ClientConfig config = {})
      : config_(std::move(config)),
        session_(detail::session_config(config_)),
        loop_(session_,
              std::make_unique<detail::ClientSockets>(
                  context_, detail::broker_of(config_, session_.actor()), session_.actor(),
                  config_.invitation),
              context_, mutex_, changed_, config_.clock, {config_.log, config_.on_transmitted}) {}

  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// The actor id.
  const std::string& actor() const { return session_.actor(); }

  /// Waits for permission to begin a batch; returns nothing if time is up or the client is closed.
  /// Without a timeout it waits for ever.
  ///
  /// Raises RefusedError: the broker will not serve this actor.
  std::optional<BatchPermit> begin(std::optional<Seconds> timeout = std::nullopt) {
    std::unique_lock lock(mutex_);
    if (!wait(lock, [this] { return session_.may_begin(); }, timeout)) return std::nullopt;
    return BatchPermit{session_.policy_update(), *session_.sender().credit()};
  }

  /// Returns whether a batch may be begun now, with the newest weights.
  ///
  /// Raises RefusedError: the broker will not serve this actor.
  bool may_begin() {
    const std::lock_guard lock(mutex_);
    raise_refusal();
    return session_.may_begin();
  }

  /// Returns the newest policy; waits for the first one, and returns null if time is up.
  ///
  /// Raises RefusedError: the broker will not serve this actor.
  std::shared_ptr<const PolicyUpdate> policy_update(std::optional<Seconds> timeout = std::nullopt) {
    std::unique_lock lock(mutex_);
    wait(lock, [this] { return session_.newest_version().has_value(); }, timeout);
    return session_.policy_update();
  }

  /// The newest policy version that has arrived; cheap enough to call at every step.
  std::optional<PolicyVersion> newest_version() const {
    const std::lock_guard lock(mutex_);
    return session_.newest_version();
  }

  /// The learner's assignment for episodes that begin now, if there is one. A copy: call it once
  /// per episode. Pass its task to `push` with the batches of these episodes.
  std::optional<Assignment> assignment() const {
    const std::lock_guard lock(mutex_);
    return session_.assignment();
  }

  /// Takes a finished batch for delivery, and returns its seq. It is kept until it has ended.
  ///
  /// `update` is the one policy that acted; `env_steps` is the sum of the chunks' lengths; `task`
  /// is that of the assignment under which all of its episodes began, if there was one.
  ///
  /// Raises LocalProtocolError: the batch is too large or was begun without credit, or the client
  /// is closed. Raises RefusedError: the broker will not serve this actor.
  std::uint64_t push(const TrajectoryBatch& batch, const PolicyUpdate& update,
                     std::uint64_t env_steps, std::optional<std::string> task = std::nullopt) {
    Bytes payload = pack_batch(batch);
    if (payload.size() > config_.limits.max_payload_bytes) {
      throw LocalProtocolError("a batch of " + std::to_string(payload.size()) +
                               " bytes is above the limit: record fewer steps per batch");
    }
    const Manifest& manifest = update.policy->manifest;
    auto packed = detail::compress(manifest.compression, std::move(payload));
    const std::lock_guard lock(mutex_);
    raise_refusal();
    if (is_closed_) throw LocalProtocolError("the client is closed");
    const std::uint64_t seq =
        session_.push({update.version, manifest.run, env_steps, std::move(packed.bytes),
                       std::move(task), std::move(packed.compression)});
    loop_.send_due();
    return seq;
  }

  /// Returns whether a batch of that version would be stale on arrival.
  bool is_outdated(const PolicyVersion& version) const {
    const std::lock_guard lock(mutex_);
    return session_.is_outdated(version);
  }

  /// Counts steps that were taken without credit and not recorded.
  void count_unrecorded(std::uint64_t env_steps) {
    const std::lock_guard lock(mutex_);
    session_.count_unrecorded(env_steps);
  }

  /// Counts an episode that a simulator lost, and its env steps that were not delivered.
  void count_broken(std::uint64_t env_steps) {
    const std::lock_guard lock(mutex_);
    session_.count_broken_episode();
    session_.count_unrecorded(env_steps);
  }

  /// How the acknowledged batches ended.
  Totals totals() const {
    const std::lock_guard lock(mutex_);
    return session_.sender().totals();
  }

  /// Batches that the broker does not have yet.
  std::uint64_t unaccepted() const {
    const std::lock_guard lock(mutex_);
    return session_.unaccepted();
  }

  /// Batches whose end the broker has not reported yet; they are lost if this process dies.
  std::uint64_t unacknowledged() const {
    const std::lock_guard lock(mutex_);
    return session_.sender().held();
  }

  /// Delivers finished batches, for at most `flush`, says goodbye and disconnects.
  void close() {
    {
      std::unique_lock lock(mutex_);
      if (is_closed_) return;
      const TimePoint deadline = after(std::chrono::steady_clock::now(), config_.flush);
      changed_.wait_until(lock, deadline, [this] {
        return session_.unaccepted() == 0 || session_.refusal() || loop_.failure();
      });
      if (std::exchange(is_closed_, true)) return;  // another thread was faster
      loop_.stop();
      changed_.notify_all();
    }
    loop_.join();
  }

 private:
  template <class Condition>
  bool wait(std::unique_lock<std::mutex>& lock, const Condition& condition,
            std::optional<Seconds> timeout) {
    const auto is_over = [&] {
      return condition() || session_.refusal() || loop_.failure() || is_closed_;
    };
    if (timeout) {
      changed_.wait_until(lock, after(std::chrono::steady_clock::now(), *timeout), is_over);
    } else {
      changed_.wait(lock, is_over);
    }
    raise_refusal();
    return condition() && !is_closed_;
  }

  void raise_refusal() const {
    if (session_.refusal()) throw RefusedError(*session_.refusal());
    if (loop_.failure()) std::rethrow_exception(loop_.failure());
  }

  ClientConfig config_;
  Context context_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  ActorSession session_;
  bool is_closed_ = false;
  detail::ClientLoop loop_;  // last: its thread uses all that is above
};

}  // namespace headrace
