// Wakes a poll loop from other threads.
#pragma once

#include <string>

#include "headrace/connection/zmq.hpp"

namespace headrace::detail {

/// Wakes a poll loop from other threads, which take turns under a lock of their own.
///
/// The loop polls `receive`, and drains it when it wakes.
class WakePair {
 public:
  explicit WakePair(const Context& context) : receive(context, ZMQ_PAIR), send_(context, ZMQ_PAIR) {
    const std::string endpoint = inner_endpoint("wake", receive);
    receive.bind(endpoint);
    send_.set(ZMQ_SNDHWM, 8);
    send_.connect(endpoint);
  }

  /// Wakes the loop. If there is no room for the message, it has enough reasons to wake up already.
  void wake() { send_.send({}); }

  Socket receive;

 private:
  Socket send_;
};

}  // namespace headrace::detail
