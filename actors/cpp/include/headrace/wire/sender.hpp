// The actor's end of delivery, as a pure state machine: times and delivery states in, batches out.
//
// Batches are numbered from 1, and each is kept until it is acknowledged. It is transmitted once,
// and again only above `accepted`: after a timeout with jitter, on a gap, when another broker
// reports a lower `accepted`, or after a lost connection. In the last case the Sender waits for the
// next delivery state first, because the broker may be another one. `now` is any monotonic time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <utility>

#include "headrace/wire/clock.hpp"
#include "headrace/wire/errors.hpp"
#include "headrace/wire/messages/actor.hpp"

namespace headrace {

/// When a Sender repeats batches that were not accepted.
struct ResendPolicy {
  double first_s = 2.0;     ///< Wait before the first repetition; it doubles with each further one,
  double longest_s = 30.0;  ///< up to this.
  double jitter = 0.5;  ///< Each wait is longer by a random share up to this: a fleet spreads out.
};

/// Call `enter`, then drain `next_due`, calling `mark_sent` for each.
template <class Item>
class Sender {
 public:
  /// A batch that is due on the wire; `item` is valid until the Sender is called again.
  struct Outgoing {
    std::uint64_t seq;
    const Item& item;
    bool sent_before;
  };

  explicit Sender(std::uint64_t seed, ResendPolicy policy = {}) : random_(seed), policy_(policy) {}

  std::uint64_t last_seq() const { return last_seq_; }
  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t acknowledged() const { return acknowledged_; }
  const Totals& totals() const { return totals_; }
  /// The newest grant of the present broker.
  const std::optional<Credit>& credit() const { return credit_; }
  /// The broker that spoke last; nothing before the first delivery state.
  std::optional<std::uint64_t> broker() const { return broker_; }
  /// Batches that are kept until they are acknowledged.
  std::size_t held() const { return held_.size(); }

  /// Returns whether the next batch may be begun with weights of `version`.
  bool may_begin(const PolicyVersion& version) const {
    return credit_ && last_seq_ < credit_->up_to && version >= credit_->min_version;
  }

  /// Takes a finished batch, and returns its seq.
  std::uint64_t enter(Item item) {
    held_.emplace(++last_seq_, std::move(item));
    return last_seq_;
  }

  /// Returns the next batch to transmit, or nothing. After transmitting, call `mark_sent`.
  std::optional<Outgoing> next_due(TimePoint now) {
    if (is_waiting()) return std::nullopt;
    if (now >= resend_at_) {
      ++resends_;
      rewind(now);
    }
    const std::uint64_t seq = std::max(cursor_, accepted_) + 1;
    if (seq > last_seq_) return std::nullopt;
    return Outgoing{seq, held_.at(seq), seq <= sent_once_up_to_};
  }

  /// Notes that the batch from `next_due` was sent.
  void mark_sent(std::uint64_t seq, TimePoint now) {
    cursor_ = seq;
    sent_once_up_to_ = std::max(sent_once_up_to_, seq);
    if (resend_at_ == never) arm(now);
  }

  /// Transmits nothing until a delivery state reports what has arrived.
  void lose_connection() { is_cut_off_ = true; }

  /// When `next_due` may change without a delivery.
  TimePoint next_event_at() const { return is_waiting() ? never : resend_at_; }

  /// Applies a delivery state of this incarnation.
  ///
  /// Raises RemoteProtocolError: it acknowledges more than it accepts, or more than was produced.
  void receive(const Delivery& delivery, TimePoint now) {
    if (delivery.acknowledged > delivery.accepted || delivery.accepted > last_seq_) {
      throw RemoteProtocolError(RejectCode::malformed,
                                "a delivery of acknowledged " +
                                    std::to_string(delivery.acknowledged) + " and accepted " +
                                    std::to_string(delivery.accepted) + ", where " +
                                    std::to_string(last_seq_) + " batches were produced");
    }
    if (broker_ != delivery.broker) meet_broker(delivery, now);
    acknowledge(delivery);
    accept(delivery.accepted, now);
    const bool was_waiting = is_cut_off_ || (is_held_up_ && delivery.accepts);
    is_cut_off_ = false;
    is_held_up_ = !delivery.accepts;
    if (was_waiting || (delivery.gap && cursor_ > accepted_)) rewind(now);
    if (delivery.credit) take_credit(*delivery.credit);
  }

 private:
  bool is_waiting() const { return is_cut_off_ || is_held_up_; }

  /// A new incarnation holds only what it reports, and the old one's credit is void.
  void meet_broker(const Delivery& delivery, TimePoint now) {
    broker_ = delivery.broker;
    credit_.reset();
    accepted_ = std::max(delivery.accepted, acknowledged_);
    resends_ = 0;
    rewind(now);
  }

  void acknowledge(const Delivery& delivery) {
    if (delivery.acknowledged <= acknowledged_) return;
    held_.erase(held_.begin(), held_.upper_bound(delivery.acknowledged));
    acknowledged_ = delivery.acknowledged;
    totals_ = delivery.totals;
  }

  void accept(std::uint64_t accepted, TimePoint now) {
    if (accepted <= accepted_) return;
    accepted_ = accepted;
    resends_ = 0;
    resend_at_ = never;
    if (cursor_ > accepted) arm(now);
  }

  void rewind(TimePoint now) {
    cursor_ = accepted_;
    resend_at_ = never;
    if (last_seq_ > accepted_) arm(now);
  }

  void arm(TimePoint now) {
    const double wait_s = std::min(std::ldexp(policy_.first_s, resends_), policy_.longest_s);
    const double stretch = std::uniform_real_distribution<double>()(random_);
    resend_at_ = after(now, Seconds(wait_s * (1.0 + policy_.jitter * stretch)));
  }

  /// A late copy of an older grant must not reduce the credit.
  void take_credit(const Credit& granted) {
    const auto age = [](const Credit& credit) {
      return std::make_tuple(credit.up_to, credit.min_version);
    };
    if (!credit_ || !(age(granted) < age(*credit_))) credit_ = granted;
  }

  std::mt19937_64 random_;
  ResendPolicy policy_;
  std::map<std::uint64_t, Item> held_;
  std::uint64_t sent_once_up_to_ = 0;
  std::uint64_t cursor_ = 0;
  TimePoint resend_at_ = never;
  int resends_ = 0;
  std::optional<std::uint64_t> broker_;
  bool is_cut_off_ = false;
  bool is_held_up_ = false;
  std::uint64_t last_seq_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t acknowledged_ = 0;
  Totals totals_;
  std::optional<Credit> credit_;
};

}  // namespace headrace
