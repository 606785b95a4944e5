// SIGTERM and SIGINT as a state to query and to wait for.
#pragma once

#include <pthread.h>

#include <chrono>
#include <csignal>
#include <ctime>

/// Blocks SIGTERM and SIGINT in all threads that are created later, and receives them itself.
///
/// Create it before any other thread; call its methods in one thread.
class Stopping {
 public:
  Stopping() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }

  /// Returns whether a signal has arrived.
  bool is_set() { return wait(std::chrono::nanoseconds(0)); }

  /// Waits for a signal, at most `longest`; returns whether one has arrived.
  bool wait(std::chrono::nanoseconds longest) {
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(longest);
    const timespec limit{whole.count(), (longest - whole).count()};
    is_set_ = is_set_ || sigtimedwait(&signals_, nullptr, &limit) > 0;
    return is_set_;
  }

 private:
  sigset_t signals_{};
  bool is_set_ = false;
};
