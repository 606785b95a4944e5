// The sockets of a client, and a pair that wakes the thread which owns them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "headrace/broker_address.hpp"
#include "headrace/topics.hpp"
#include "headrace/zmq.hpp"

namespace headrace::detail {

/// Returns an endpoint within this process that no other socket has.
inline std::string inner_endpoint(const std::string& purpose, const Socket& socket) {
  const auto address = reinterpret_cast<std::uintptr_t>(socket.get());
  return "inproc://headrace-" + purpose + "-" + std::to_string(address);
}

/// PUSH to ingest, SUB to control and weights.
///
/// PUSH blocks at a low mark, so that what a broker that went away will never read stays here and
/// not in pipes; `disconnections` is readable once its connection was lost. SUB control may lose
/// messages: they are cumulative. SUB weights drops the newest at its mark, which draining in a
/// thread of its own keeps it below.
class ClientSockets {
 public:
  ClientSockets(const Context& context, BrokerAddress address, const std::string& actor,
                const std::optional<Invitation>& invitation)
      : push(network_socket(context, ZMQ_PUSH, invitation)),
        control(network_socket(context, ZMQ_SUB, invitation)),
        weights(network_socket(context, ZMQ_SUB, invitation)),
        disconnections(context, ZMQ_PAIR),
        address_(std::move(address)) {
    push.set(ZMQ_SNDHWM, 8);
    control.set(ZMQ_RCVHWM, 1000);
    weights.set(ZMQ_RCVHWM, 2);
    watch_disconnections();
    control.set(ZMQ_SUBSCRIBE, delivery_topic(actor));
    control.set(ZMQ_SUBSCRIBE, beacon_topic());
    weights.set(ZMQ_SUBSCRIBE, snapshot_topic(actor));
    for (const Endpoint endpoint : {Endpoint::ingest, Endpoint::control, Endpoint::weights}) {
      socket(endpoint).connect(address_.endpoint(endpoint));
    }
  }

  /// Subscribes to the weights of a run and of no other.
  void subscribe_weights(const std::string& run) {
    const std::string topic = weights_topic(run);
    if (topic == weights_topic_) return;
    if (weights_topic_) weights.set(ZMQ_UNSUBSCRIBE, *weights_topic_);
    weights.set(ZMQ_SUBSCRIBE, topic);
    weights_topic_ = topic;
  }

  /// Drops the connection to an endpoint, with what is under way, and makes another one.
  void reconnect(Endpoint endpoint) { socket(endpoint).reconnect(address_.endpoint(endpoint)); }

  /// Lets what is under way leave within half a second when the sockets are closed.
  void let_last_messages_leave() { push.set(ZMQ_LINGER, 500); }

  Socket push;
  Socket control;
  Socket weights;
  Socket disconnections;

 private:
  void watch_disconnections() {
    const std::string endpoint = inner_endpoint("monitor", push);
    if (zmq_socket_monitor(push.get(), endpoint.c_str(), ZMQ_EVENT_DISCONNECTED) != 0) {
      throw zmq_fault("cannot watch a connection");
    }
    disconnections.connect(endpoint);
  }

  Socket& socket(Endpoint endpoint) {
    if (endpoint == Endpoint::ingest) return push;
    return endpoint == Endpoint::control ? control : weights;
  }

  BrokerAddress address_;
  std::optional<std::string> weights_topic_;
};

/// Wakes a poll loop from other threads, which take turns under a lock of theirs.
class WakePair {
 public:
  explicit WakePair(const Context& context) : receive(context, ZMQ_PAIR), send_(context, ZMQ_PAIR) {
    const std::string endpoint = inner_endpoint("wake", receive);
    receive.bind(endpoint);
    send_.set(ZMQ_SNDHWM, 8);
    send_.connect(endpoint);
  }

  /// Where there is no room, the loop has enough reasons to wake up already.
  void wake() { send_.send({}); }

  Socket receive;

 private:
  Socket send_;
};

/// Reads and forgets what has arrived; returns whether there was anything.
inline bool drain(Socket& socket) {
  bool has_received = false;
  while (socket.receive()) has_received = true;
  return has_received;
}

}  // namespace headrace::detail
