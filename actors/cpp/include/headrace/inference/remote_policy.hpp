// Actions from a policy server, for simulators that cannot run a policy themselves.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "headrace/connection/assignments.hpp"
#include "headrace/connection/zmq.hpp"
#include "headrace/recording/episode_ids.hpp"
#include "headrace/recording/step_result.hpp"
#include "headrace/wire/clock.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/invitation.hpp"
#include "headrace/wire/messages/headers.hpp"
#include "headrace/wire/messages/inference.hpp"
#include "headrace/wire/silence.hpp"
#include "headrace/wire/trajectory.hpp"

namespace headrace {

/// One socket to one endpoint, where any policy server may answer; for one thread at a time.
///
/// An unanswered request is repeated, which changes nothing at the server: `act` and `end` return
/// when they are answered, however long the server or its learner is away. `interrupt`, from
/// any thread, ends the wait.
class RemotePolicy {
 public:
  /// This side's state of an episode; pass it to `act` and `end`.
  class Episode {
   public:
    /// Its name at the server.
    const std::string& name() const { return name_; }

    /// How to reset the simulator for it. Unless this is called, the episode has no task.
    const Reset& assigned() {
      is_asked_ = true;
      return assigned_;
    }

   private:
    friend class RemotePolicy;

    Episode(std::string name, bool training_enabled, Reset assigned, bool is_asked)
        : name_(std::move(name)),
          training_enabled_(training_enabled),
          assigned_(std::move(assigned)),
          is_asked_(is_asked) {}

    std::string name_;
    bool training_enabled_;
    Reset assigned_;
    bool is_asked_;
    std::uint64_t turn_ = 0;
  };

  /// Raises ConfigError: the endpoint is malformed.
  explicit RemotePolicy(const std::string& endpoint = default_inference,
                        std::optional<Invitation> invitation = std::nullopt,
                        Clock clock = steady_clock())
      : endpoint_(endpoint),
        socket_(network_socket(context_, ZMQ_DEALER, invitation)),
        clock_(std::move(clock)) {
    socket_.connect(endpoint_);
  }

  /// Waits for a policy to act with; returns false if time is up.
  ///
  /// Optional, since `act` waits by itself; but it also fetches the assignment, which otherwise
  /// arrives when the first episode ends.
  ///
  /// Raises LocalProtocolError: the wait was interrupted. Raises RefusedError: an answer was
  /// malformed.
  bool wait_for_policy(Seconds timeout) { return describe(timeout).has_value(); }

  /// Returns the server's description, such as the names of the infos that are recorded, or nothing
  /// if time is up. Raises the errors of `wait_for_policy`.
  std::optional<Description> describe(Seconds timeout) {
    const auto is_answer = [](const Answer& answer) {
      const auto* denial = std::get_if<Denial>(&answer);
      if (denial != nullptr && !denial->episode) throw RefusedError(denial->code, denial->reason);
      return std::holds_alternative<Description>(answer);
    };
    const auto received = ask(is_answer, {encode_header(Describe{})}, after(clock_(), timeout));
    if (!received) return std::nullopt;
    auto description = std::get<Description>(received->answer);
    assignment_ = description.assignment;
    return description;
  }

  /// Begins an episode; the server hears of it with the first `act`.
  ///
  /// With `training_enabled` false the policy acts in it, but nothing is sent to the learner. Pass
  /// the old episode's `assigned` if the simulator continues without a reset after an
  /// UnknownEpisodeError.
  Episode start_episode(bool training_enabled = true,
                        std::optional<Reset> assigned = std::nullopt) {
    const bool continues = assigned.has_value();
    Reset reset = continues ? std::move(*assigned) : adoption_.adopt(assignment_);
    return Episode(random_name(), training_enabled, std::move(reset), continues);
  }

  /// Returns the action for an observation of a single agent: an integer or a list of numbers.
  ///
  /// `reward` is the reward since the last action, 0 with the first observation.
  ///
  /// Raises the errors of the other `act`.
  Value act(Episode& episode, Value observation, double reward = 0.0) {
    AgentTurns turns = turns_of_one(std::move(observation), reward);
    const AgentActions actions = act(episode, turns);
    const auto action = actions.find(default_agent);
    if (action == actions.end()) {
      throw RefusedError(RejectCode::malformed, "an answer without an action of the agent");
    }
    return action->second;
  }

  /// Returns the actions of all agents that are named and have not left.
  ///
  /// Raises UnknownEpisodeError: begin another episode, with the present observations and no
  /// reward. Raises RefusedError: the turn does not fit; it was not taken. Raises
  /// LocalProtocolError: the wait was interrupted.
  AgentActions act(Episode& episode, const AgentTurns& turns) {
    Act message;
    message.episode = episode.name_;
    message.turn = episode.turn_;
    message.training_enabled = episode.training_enabled_;
    if (episode.is_asked_) message.task = episode.assigned_.task;
    const Received received = ask(message, {encode_header(message), encode_turns(turns)});
    ++episode.turn_;
    if (!std::holds_alternative<Actions>(received.answer)) throw wrong_answer();
    try {
      return decode_actions(received.frames.at(1));
    } catch (const RemoteProtocolError& error) {
      throw RefusedError(error.code(), error.reason());
    }
  }

  /// Ends an episode of a single agent with its last observation.
  ///
  /// Raises the errors of `act`; an episode that the server does not know has ended there already.
  void end(Episode& episode, Value observation, double reward, Ending ending) {
    end(episode, turns_of_one(std::move(observation), reward), ending);
  }

  /// Ends an episode for all its agents; agents that acted need an observation if it is truncated.
  void end(Episode& episode, const AgentTurns& turns, Ending ending) {
    if (episode.turn_ == 0) return;  // the server does not know it
    End message;
    message.episode = episode.name_;
    message.turn = episode.turn_;
    message.truncated = ending.truncated && !ending.terminated;
    const Received received = ask(message, {encode_header(message), encode_turns(turns)});
    ++episode.turn_;
    if (const auto* ended = std::get_if<Ended>(&received.answer)) assignment_ = ended->assignment;
  }

  /// Ends a wait in another thread, and all later ones; safe to call from any thread.
  void interrupt() { is_interrupted_ = true; }

 private:
  static constexpr Seconds resend_wait{2.0};
  static constexpr Seconds longest_silence{30.0};
  static constexpr long look_for_interrupt_ms = 100;

  struct Received {
    Answer answer;
    Frames frames;
  };

  static std::string random_name() {
    static constexpr char digits[] = "0123456789abcdef";
    std::string name;
    for (const std::uint8_t byte : random_episode_id()) {
      name += digits[byte >> 4];
      name += digits[byte & 15];
    }
    return name;
  }

  static AgentTurns turns_of_one(Value observation, double reward) {
    AgentTurn turn;
    turn.observation = std::move(observation);
    turn.reward = reward;
    return {{default_agent, std::move(turn)}};
  }

  static RefusedError wrong_answer() {
    return RefusedError(RejectCode::malformed, "an answer of another kind");
  }

  /// Sends a request of an episode until it is answered, and returns the answer.
  Received ask(const Turn& asked, const Frames& request) {
    const auto is_answer = [&](const Answer& answer) { return answers(answer, asked); };
    return *ask(is_answer, request, never);
  }

  /// Returns the answer if it arrives by the deadline.
  template <class IsAnswer>
  std::optional<Received> ask(const IsAnswer& is_answer, const Frames& request,
                              TimePoint deadline) {
    TimePoint resend_at = long_ago;
    while (!is_interrupted_) {
      const TimePoint now = clock_();
      // Short waits in a row, all given up, are one silence.
      if (!silence_) silence_.emplace(now, resend_wait, longest_silence);
      if (silence_->restart_if_overdue(now)) {
        // libzmq does not retry a connection whose handshake was refused; this peer may have been
        // invited since.
        socket_.reconnect(endpoint_);
        resend_at = now;
      }
      if (now >= resend_at) {
        resend_at = after(now, resend_wait);
        send(request);  // if there is no connection, the next attempt sends it
      }
      if (auto received = wait_for_answer(is_answer, deadline)) {
        silence_ = std::nullopt;
        return received;
      }
      if (clock_() >= deadline) return std::nullopt;
    }
    throw LocalProtocolError("the remote policy was interrupted");
  }

  void send(const Frames& request) {
    request.size() == 1 ? socket_.send(request[0]) : socket_.send(request[0], request[1]);
  }

  /// Returns the answer if it arrives within a moment, or by the deadline.
  template <class IsAnswer>
  std::optional<Received> wait_for_answer(const IsAnswer& is_answer, TimePoint deadline) {
    constexpr auto moment = std::chrono::milliseconds(look_for_interrupt_ms);
    const auto wait = std::clamp<std::chrono::nanoseconds>(
        deadline == never ? moment : deadline - clock_(), std::chrono::nanoseconds(0), moment);
    zmq_pollitem_t item{socket_.get(), 0, ZMQ_POLLIN, 0};
    zmq_poll(&item, 1, std::chrono::ceil<std::chrono::milliseconds>(wait).count());
    while (auto frames = socket_.receive()) {
      Answer answer = read(*frames);
      if (is_answer(answer)) return Received{std::move(answer), std::move(*frames)};
    }
    return std::nullopt;
  }

  static Answer read(const Frames& frames) {
    try {
      return decode_header<Answer>(frames);
    } catch (const RemoteProtocolError& error) {
      throw RefusedError(error.code(), "a malformed answer: " + error.reason());
    }
  }

  /// Returns whether an answer is to this request, and not a repeated answer to an earlier one.
  ///
  /// Raises UnknownEpisodeError or RefusedError: the request is denied.
  static bool answers(const Answer& answer, const Turn& asked) {
    if (const auto* denial = std::get_if<Denial>(&answer)) {
      const bool is_named = denial->episode && denial->turn;
      if (is_named && (*denial->episode != asked.episode || *denial->turn != asked.turn)) {
        return false;
      }
      if (denial->code == RejectCode::unknown_episode) throw UnknownEpisodeError(denial->reason);
      throw RefusedError(denial->code, denial->reason);
    }
    const auto is_same = [&](const Turn& turn) {
      return turn.episode == asked.episode && turn.turn == asked.turn;
    };
    if (const auto* actions = std::get_if<Actions>(&answer)) return is_same(*actions);
    if (const auto* ended = std::get_if<Ended>(&answer)) return is_same(*ended);
    return false;
  }

  std::string endpoint_;
  Context context_;
  Socket socket_;
  Clock clock_;
  Adoption adoption_;
  std::optional<Assignment> assignment_;
  std::optional<detail::SilenceWatch> silence_;  ///< Nothing while all is answered.
  std::atomic<bool> is_interrupted_{false};
};

}  // namespace headrace
