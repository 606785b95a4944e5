// The sockets of a client.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "headrace/connection/zmq.hpp"
#include "headrace/wire/endpoints.hpp"
#include "headrace/wire/invitation.hpp"
#include "headrace/wire/topics.hpp"

namespace headrace::detail {

/// PUSH to ingest, SUB to control and weights.
///
/// PUSH blocks at a low high-water mark, so that batches for a broker that has gone stay in the
/// session and not in pipes; `disconnections` is readable once its connection was lost. SUB control
/// may lose messages: they are cumulative. SUB weights drops the newest message at its mark; a
/// thread that drains it at once keeps it below.
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

  /// Drops the connection to an endpoint, with the messages in it, and connects again.
  void reconnect(Endpoint endpoint) { socket(endpoint).reconnect(address_.endpoint(endpoint)); }

  /// Lets queued messages leave within half a second when the sockets are closed.
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

}  // namespace headrace::detail
