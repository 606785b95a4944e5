// The thread that owns a client's sockets: receives, sends what is due, wakes waiting threads.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "headrace/connection/config.hpp"
#include "headrace/connection/session.hpp"
#include "headrace/connection/sockets.hpp"
#include "headrace/connection/wake_pair.hpp"
#include "headrace/connection/zmq.hpp"
#include "headrace/wire/clock.hpp"
#include "headrace/wire/endpoints.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/messages/headers.hpp"

namespace headrace::detail {

/// The callbacks of a loop.
struct LoopListeners {
  Log log;
  std::function<void(std::uint64_t)> on_transmitted;  ///< Called with the seq of each batch sent.
};

/// Serves a session in a thread.
///
/// The session is shared with the simulator's threads: `mutex` guards it, and `changed` is notified
/// whenever it may have changed.
class ClientLoop {
 public:
  ClientLoop(ActorSession& session, std::unique_ptr<ClientSockets> sockets, const Context& context,
             std::mutex& mutex, std::condition_variable& changed, Clock clock,
             LoopListeners listeners)
      : session_(session),
        sockets_(std::move(sockets)),
        wake_pair_(context),
        mutex_(mutex),
        changed_(changed),
        clock_(std::move(clock)),
        listeners_(std::move(listeners)),
        thread_([this] { serve(); }) {}

  /// The exception that ended the thread, if there was one; read it while holding the mutex.
  const std::exception_ptr& failure() const { return failure_; }

  /// Sends what is due in the caller's thread, which holds the mutex.
  ///
  /// Waking the loop's thread instead would take several times as long. While the broker accepts
  /// nothing, that thread polls the socket, and no other thread may use it.
  void send_due() {
    if (is_blocked_ || is_stopping_) return;
    is_blocked_ = !send(clock_());
    if (is_blocked_) wake_pair_.wake();
  }

  /// Asks the thread to say goodbye and end; call it while holding the mutex, then `join` without.
  void stop() {
    wake_pair_.wake();
    is_stopping_ = true;
  }

  void join() { thread_.join(); }

 private:
  static constexpr std::chrono::milliseconds longest_poll{1000};

  void serve() {
    try {
      serve_until_stopped();
    } catch (...) {  // waiting threads raise it
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      changed_.notify_all();
    }
  }

  void serve_until_stopped() {
    std::unique_lock lock(mutex_);
    while (!is_stopping_) {
      const bool waits_for_room = is_blocked_;
      const long wait_ms = poll_ms();
      lock.unlock();
      poll(waits_for_room, wait_ms);
      drain(wake_pair_.receive);
      lock.lock();
      receive();
      reconnect_if_silent();
      is_blocked_ = !send(clock_());
      changed_.notify_all();
    }
    lock.unlock();
    sockets_->push.send(session_.goodbye());
    sockets_->let_last_messages_leave();
    sockets_.reset();
  }

  void poll(bool waits_for_room, long wait_ms) {
    std::vector<zmq_pollitem_t> items;
    for (const Socket* socket :
         {&sockets_->control, &sockets_->weights, &sockets_->disconnections, &wake_pair_.receive}) {
      items.push_back({socket->get(), 0, ZMQ_POLLIN, 0});
    }
    if (waits_for_room) items.push_back({sockets_->push.get(), 0, ZMQ_POLLOUT, 0});
    if (zmq_poll(items.data(), static_cast<int>(items.size()), wait_ms) < 0 && errno != EINTR) {
      throw zmq_fault("cannot wait for messages");
    }
  }

  long poll_ms() const {
    if (is_blocked_) return longest_poll.count();
    const TimePoint now = clock_();
    const TimePoint due = session_.next_event_at();
    if (due <= now) return 0;
    if (due - now > longest_poll) return longest_poll.count();
    return static_cast<long>(
        std::chrono::duration_cast<std::chrono::milliseconds>(due - now).count() + 1);
  }

  void receive() {
    const TimePoint now = clock_();
    if (drain(sockets_->disconnections)) session_.on_disconnect(now);
    receive_from(sockets_->control, [&](Frames frames) { session_.on_control(frames, now); });
    receive_from(sockets_->weights, [&](Frames frames) { session_.on_weights(std::move(frames)); });
    if (const auto run = session_.run()) sockets_->subscribe_weights(*run);
    for (const Reject& reject : session_.take_rejects()) {
      const std::string what = reject.seq ? "batch " + std::to_string(*reject.seq) : "a message";
      log(what + " was rejected (" + to_text(reject.code) + "): " + reject.reason);
    }
  }

  /// Passes on the messages that have arrived, without their topics; drops malformed ones.
  template <class Take>
  void receive_from(Socket& socket, const Take& take) {
    while (auto frames = socket.receive()) {
      frames->erase(frames->begin());
      try {
        take(std::move(*frames));
      } catch (const RemoteProtocolError& error) {
        log(std::string("dropped a message: ") + error.what());
      }
    }
  }

  void log(const std::string& line) const {
    if (listeners_.log) listeners_.log(line);
  }

  void reconnect_if_silent() {
    const TimePoint now = clock_();
    for (const Endpoint endpoint : session_.take_silent_endpoints(now)) {
      sockets_->reconnect(endpoint);
      if (endpoint == Endpoint::ingest) session_.on_disconnect(now);
    }
  }

  /// Sends what is due; returns false if the broker accepts no more for now.
  bool send(TimePoint now) {
    if (const auto presence = session_.next_presence(now)) {
      if (!sockets_->push.send(*presence)) return false;
    }
    while (const auto batch = session_.next_batch(now)) {
      if (!sockets_->push.send(batch->header, batch->payload)) return false;
      session_.mark_sent(batch->seq, now);
      if (listeners_.on_transmitted) listeners_.on_transmitted(batch->seq);
    }
    return true;
  }

  ActorSession& session_;
  std::unique_ptr<ClientSockets> sockets_;
  WakePair wake_pair_;
  std::mutex& mutex_;
  std::condition_variable& changed_;
  Clock clock_;
  LoopListeners listeners_;
  bool is_stopping_ = false;
  bool is_blocked_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses all that is above
};

}  // namespace headrace::detail
