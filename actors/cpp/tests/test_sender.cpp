// Delivery: numbers, repetitions, gaps, credit.

#include <headrace/wire/sender.hpp>

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

/// Transmits all batches that are due, and returns their seqs.
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

void batches_that_were_not_accepted_are_repeated_after_longer_and_longer_waits() {
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

void a_gap_repeats_all_batches_that_were_not_accepted() {
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

void after_a_lost_connection_nothing_is_sent_before_the_delivery_state_arrives() {
  auto sender = sender_of(2);
  send_due(sender, 0);
  sender.lose_connection();
  CHECK(send_due(sender, 100).empty());
  sender.receive(delivery(1, 0), at(101));
  CHECK((send_due(sender, 101) == Numbers{2}));
}

void another_broker_is_sent_the_batches_that_it_does_not_have() {
  auto sender = sender_of(3);
  send_due(sender, 0);
  sender.receive(delivery(3, 1), at(0.1));
  sender.receive(delivery(1, 1, 2), at(1));
  CHECK((send_due(sender, 1) == Numbers{2, 3}));
}

void accepted_of_another_broker_is_never_below_acknowledged() {
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

void credit_limits_batches_and_requires_new_weights() {
  auto sender = sender_of(1);
  Delivery message = delivery(1, 0);
  message.credit = credit(2, {1, 5});
  sender.receive(message, at(0));
  CHECK(!sender.may_begin({1, 4}) && sender.may_begin({1, 5}) && sender.may_begin({2, 0}));
  sender.enter(2);
  CHECK(!sender.may_begin({1, 5}));
}

void a_late_copy_of_an_older_grant_does_not_reduce_the_credit() {
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
      {"batches that were not accepted are repeated after longer and longer waits",
       batches_that_were_not_accepted_are_repeated_after_longer_and_longer_waits},
      {"a gap repeats all batches that were not accepted",
       a_gap_repeats_all_batches_that_were_not_accepted},
      {"a broker that does not accept holds batches up",
       a_broker_that_does_not_accept_holds_batches_up},
      {"after a lost connection nothing is sent before the delivery state arrives",
       after_a_lost_connection_nothing_is_sent_before_the_delivery_state_arrives},
      {"another broker is sent the batches that it does not have",
       another_broker_is_sent_the_batches_that_it_does_not_have},
      {"accepted of another broker is never below acknowledged",
       accepted_of_another_broker_is_never_below_acknowledged},
      {"credit is void with its broker", credit_is_void_with_its_broker},
      {"credit limits batches and requires new weights",
       credit_limits_batches_and_requires_new_weights},
      {"a late copy of an older grant does not reduce the credit",
       a_late_copy_of_an_older_grant_does_not_reduce_the_credit},
      {"an impossible delivery is the peer's fault", an_impossible_delivery_is_the_peers_fault},
  });
}
