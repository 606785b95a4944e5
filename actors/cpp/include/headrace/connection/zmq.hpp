// libzmq's context and sockets, closed by their destructors.
#pragma once

#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/invitation.hpp"
#include "headrace/wire/messages/headers.hpp"

namespace headrace {

namespace detail {

inline Error zmq_fault(const std::string& what) {
  return Error(what + ": " + zmq_strerror(zmq_errno()));
}

}  // namespace detail

/// A ZeroMQ context; copies share it. The last one's destructor waits until all sockets are closed.
class Context {
 public:
  Context() : held_(zmq_ctx_new(), &end) {
    if (!held_) throw detail::zmq_fault("cannot make a ZeroMQ context");
  }

  void* get() const { return held_.get(); }

 private:
  static void end(void* context) {
    while (zmq_ctx_term(context) != 0 && errno == EINTR) {
    }
  }

  std::shared_ptr<void> held_;
};

/// A ZeroMQ socket, for one thread at a time.
class Socket {
 public:
  Socket(const Context& context, int type)
      : context_(context), held_(zmq_socket(context.get(), type)) {
    if (!held_) throw detail::zmq_fault("cannot make a ZeroMQ socket");
    set(ZMQ_LINGER, 0);
  }

  void* get() const { return held_.get(); }

  void set(int option, int value) { set_bytes(option, &value, sizeof(value)); }
  void set(int option, std::string_view value) { set_bytes(option, value.data(), value.size()); }

  void bind(const std::string& endpoint) {
    if (zmq_bind(get(), endpoint.c_str()) != 0) {
      throw detail::zmq_fault("cannot bind " + endpoint);
    }
  }

  /// Raises ConfigError: the endpoint is malformed.
  void connect(const std::string& endpoint) {
    set(ZMQ_IPV6, endpoint.find('[') == std::string::npos ? 0 : 1);
    if (zmq_connect(get(), endpoint.c_str()) != 0) {
      throw ConfigError("cannot connect to '" + endpoint + "': " + zmq_strerror(zmq_errno()));
    }
  }

  /// Drops a connection, if there is one, with the messages in it, and connects again.
  void reconnect(const std::string& endpoint) {
    set(ZMQ_LINGER, 0);
    zmq_disconnect(get(), endpoint.c_str());
    connect(endpoint);
  }

  /// Returns whether the frame was accepted; false means that there is no room for it now.
  bool send(const Bytes& frame, bool has_more = false) {
    const int flags = ZMQ_DONTWAIT | (has_more ? ZMQ_SNDMORE : 0);
    while (zmq_send(get(), frame.data(), frame.size(), flags) < 0) {
      if (errno == EAGAIN) return false;
      if (errno != EINTR) throw detail::zmq_fault("cannot send");
    }
    return true;
  }

  /// Returns whether the message was accepted: all of its frames or none.
  bool send(const Bytes& header, const Bytes& payload) {
    return send(header, true) && send(payload);
  }

  /// Returns the next message that has arrived, or nothing.
  std::optional<Frames> receive() {
    Frames frames;
    bool has_more = true;
    while (has_more) {
      const Message message;
      while (zmq_msg_recv(message.get(), get(), ZMQ_DONTWAIT) < 0) {
        if (errno == EAGAIN) return std::nullopt;
        if (errno != EINTR) throw detail::zmq_fault("cannot receive");
      }
      const auto* bytes = static_cast<const std::uint8_t*>(zmq_msg_data(message.get()));
      frames.emplace_back(bytes, bytes + zmq_msg_size(message.get()));
      has_more = zmq_msg_more(message.get()) != 0;
    }
    return frames;
  }

 private:
  /// One received frame, until it is copied.
  class Message {
   public:
    Message() { zmq_msg_init(&held_); }
    ~Message() { zmq_msg_close(&held_); }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;

    zmq_msg_t* get() const { return &held_; }

   private:
    mutable zmq_msg_t held_;
  };

  struct Close {
    void operator()(void* socket) const { zmq_close(socket); }
  };

  void set_bytes(int option, const void* value, std::size_t size) {
    if (zmq_setsockopt(get(), option, value, size) != 0) {
      throw detail::zmq_fault("cannot set a ZeroMQ option");
    }
  }

  Context context_;  // must outlive the socket
  std::unique_ptr<void, Close> held_;
};

/// Returns a socket for connections over a network, encrypted if there is an invitation.
inline Socket network_socket(const Context& context, int type,
                             const std::optional<Invitation>& invitation) {
  Socket socket(context, type);
  // A cut cable reports nothing: a connection is given up when data, or a probe during silence, has
  // not been acknowledged for six seconds.
  socket.set(ZMQ_TCP_KEEPALIVE, 1);
  socket.set(ZMQ_TCP_KEEPALIVE_IDLE, 2);
  socket.set(ZMQ_TCP_KEEPALIVE_INTVL, 1);
  socket.set(ZMQ_TCP_KEEPALIVE_CNT, 4);
  socket.set(ZMQ_TCP_MAXRT, 6000);
  // By itself TCP would wait longer at each attempt.
  socket.set(ZMQ_RECONNECT_IVL, 100);
  socket.set(ZMQ_RECONNECT_IVL_MAX, 1000);
  socket.set(ZMQ_CONNECT_TIMEOUT, 2000);
  if (invitation) {
    std::array<char, 41> public_key{};
    if (zmq_curve_public(public_key.data(), invitation->secret_key.c_str()) != 0) {
      throw detail::zmq_fault("cannot use the invitation's key");
    }
    socket.set(ZMQ_CURVE_SERVERKEY, std::string_view(invitation->server_key));
    socket.set(ZMQ_CURVE_PUBLICKEY, std::string_view(public_key.data(), 40));
    socket.set(ZMQ_CURVE_SECRETKEY, std::string_view(invitation->secret_key));
  }
  return socket;
}

namespace detail {

/// Returns an endpoint within this process that no other socket has.
inline std::string inner_endpoint(const std::string& purpose, const Socket& socket) {
  const auto address = reinterpret_cast<std::uintptr_t>(socket.get());
  return "inproc://headrace-" + purpose + "-" + std::to_string(address);
}

/// Receives and discards all messages that have arrived; returns whether there were any.
inline bool drain(Socket& socket) {
  bool has_received = false;
  while (socket.receive()) has_received = true;
  return has_received;
}

}  // namespace detail

}  // namespace headrace
