// Delivery: numbers, repetitions, gaps, credit.

#include <headrace/sender.hpp>

#include "check.hpp"

namespace {

using namespace headrace;
using Numbers = std::vector<std::uint64_t>;

TimePoint at(double seconds) { return after(TimePoint(), Seconds(seconds)); }

Delivery delivery(std::uint64_t accepted, std::uint64_t acknowledged, std::uint64_t broker = 1) {
  Delivery message;
  message.broker = broker;
  message.accepted = accepted;
  message.acknowledged = acknowledged;
  message.totals.consumed = acknowledged;
  return message;
}

Credit credit(std::uint64_t up_to, PolicyVersion min_version = {}) {
  return {up_to, 100, 1.0, min_version};
}

Sender<int> sender_of(int batches) {
  Sender<int> sender(1);
  for (int batch = 1; batch <= batches; ++batch) sender.enter(batch);
  return sender;
}

/// Transmits all that is due, and returns its seqs.
Numbers send_due(Sender<int>& sender, double now_s) {
  Numbers seqs;
  while (const auto due = sender.next_due(at(now_s))) {
    seqs.push_back(due->seq);
    sender.mark_sent(due->seq, at(now_s));
  }
  return seqs;
}

void a_batch_is_sent_once_and_kept_until_it_is_acknowledged() {
  auto sender = sender_of(2);
  CHECK((send_due(sender, 0) == Numbers{1, 2}));
  sender.receive(delivery(2, 0), at(0.1));
  CHECK(sender.held() == 2);
  sender.receive(delivery(2, 2), at(0.2));
  CHECK(sender.held() == 0 && sender.totals().consumed == 2);
  CHECK(send_due(sender, 1000).empty());
}

void what_was_not_accepted_is_repeated_later_and_later() {
  auto sender = sender_of(1);
  CHECK(send_due(sender, 0).size() == 1);
  double now_s = 0.0;
  for (const double longest_s : {3.0, 6.0, 12.0, 24.0, 45.0, 45.0}) {
    CHECK(sender.next_event_at() > at(now_s + longest_s / 1.5 - 0.01));
    CHECK(send_due(sender, now_s + longest_s / 1.5 - 0.01).empty());
    now_s += longest_s;
    CHECK(sender.next_due(at(now_s))->sent_before);
    CHECK((send_due(sender, now_s) == Numbers{1}));
  }
}

void a_gap_repeats_from_what_was_accepted() {
  auto sender = sender_of(3);
  send_due(sender, 0);
  Delivery message = delivery(1, 0);
  message.gap = true;
  sender.receive(message, at(0.1));
  CHECK((send_due(sender, 0.1) == Numbers{2, 3}));
}

void a_broker_that_does_not_accept_holds_batches_up() {
  auto sender = sender_of(1);
  Delivery message = delivery(0, 0);
  message.accepts = false;
  sender.receive(message, at(0));
  CHECK(send_due(sender, 100).empty() && sender.next_event_at() == never);
  message.accepts = message.gap = true;
  sender.receive(message, at(101));
  CHECK((send_due(sender, 101) == Numbers{1}));
}

void a_lost_connection_waits_for_what_has_arrived() {
  auto sender = sender_of(2);
  send_due(sender, 0);
  sender.lose_connection();
  CHECK(send_due(sender, 100).empty());
  sender.receive(delivery(1, 0), at(101));
  CHECK((send_due(sender, 101) == Numbers{2}));
}

void another_broker_is_sent_what_it_does_not_have() {
  auto sender = sender_of(3);
  send_due(sender, 0);
  sender.receive(delivery(3, 1), at(0.1));
  sender.receive(delivery(1, 1, 2), at(1));
  CHECK((send_due(sender, 1) == Numbers{2, 3}));
}

void another_brokers_accepted_is_never_below_what_was_acknowledged() {
  auto sender = sender_of(3);
  send_due(sender, 0);
  sender.receive(delivery(3, 2), at(0.1));
  sender.receive(delivery(0, 0, 2), at(1));
  CHECK((send_due(sender, 1) == Numbers{3}));
}

void credit_is_void_with_its_broker() {
  Sender<int> sender(1);
  Delivery message = delivery(0, 0);
  message.credit = credit(1);
  sender.receive(message, at(0));
  CHECK(sender.may_begin({1, 1}));
  sender.receive(delivery(0, 0, 2), at(1));
  CHECK(!sender.may_begin({1, 1}));
}

void credit_counts_batches_and_asks_for_weights() {
  auto sender = sender_of(1);
  Delivery message = delivery(1, 0);
  message.credit = credit(2, {1, 5});
  sender.receive(message, at(0));
  CHECK(!sender.may_begin({1, 4}) && sender.may_begin({1, 5}) && sender.may_begin({2, 0}));
  sender.enter(2);
  CHECK(!sender.may_begin({1, 5}));
}

void a_late_copy_of_an_older_grant_takes_nothing_back() {
  Sender<int> sender(1);
  Delivery message = delivery(0, 0);
  for (const std::uint64_t up_to : {5U, 3U}) {
    message.credit = credit(up_to);
    sender.receive(message, at(0));
  }
  CHECK(sender.credit()->up_to == 5);
}

void an_impossible_delivery_is_the_peers_fault() {
  auto sender = sender_of(1);
  check_raises<RemoteProtocolError>([&] { sender.receive(delivery(2, 0), at(0)); });
  check_raises<RemoteProtocolError>([&] { sender.receive(delivery(0, 1), at(0)); });
}

}  // namespace

int main() {
  return run({
      {"a batch is sent once, and kept until it is acknowledged",
       a_batch_is_sent_once_and_kept_until_it_is_acknowledged},
      {"what was not accepted is repeated, later and later",
       what_was_not_accepted_is_repeated_later_and_later},
      {"a gap repeats from what was accepted", a_gap_repeats_from_what_was_accepted},
      {"a broker that does not accept holds batches up",
       a_broker_that_does_not_accept_holds_batches_up},
      {"a lost connection waits for what has arrived",
       a_lost_connection_waits_for_what_has_arrived},
      {"another broker is sent what it does not have",
       another_broker_is_sent_what_it_does_not_have},
      {"another broker's accepted is never below what was acknowledged",
       another_brokers_accepted_is_never_below_what_was_acknowledged},
      {"credit is void with its broker", credit_is_void_with_its_broker},
      {"credit counts batches and asks for weights", credit_counts_batches_and_asks_for_weights},
      {"a late copy of an older grant takes nothing back",
       a_late_copy_of_an_older_grant_takes_nothing_back},
      {"an impossible delivery is the peer's fault", an_impossible_delivery_is_the_peers_fault},
  });
}
