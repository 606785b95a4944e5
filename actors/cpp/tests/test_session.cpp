// Presence, policy, credit and rejects of one incarnation of an actor.

#include <headrace/connection/assignments.hpp>
#include <headrace/connection/session.hpp>

#include "check.hpp"
#include "examples.hpp"

namespace {

using namespace headrace;

TimePoint at(double seconds) { return after(TimePoint(), Seconds(seconds)); }

ActorSession new_session() {
  SessionConfig config;
  config.actor = "actor-1";
  config.incarnation = 7;
  return ActorSession(config);
}

template <class Message>
void hear(ActorSession& session, const Message& message, double now_s = 0.0) {
  session.on_control({encode_header(message)}, at(now_s));
}

void hear_snapshot(ActorSession& session, PolicyVersion version) {
  Snapshot message;
  message.run = "run";
  message.version = version;
  message.policy_digest = policy_digest(example_policy_frame());
  session.on_weights({encode_header(message), example_policy_frame(), example_weights_frame()});
}

Delivery delivery(std::uint64_t broker = 1) {
  Delivery message;
  message.broker = broker;
  message.incarnation = 7;
  return message;
}

Delivery granting(std::uint64_t up_to) {
  Delivery message = delivery();
  message.credit = Credit{up_to, 100, 1.0, {}};
  return message;
}

std::string kind_of(const Bytes& header) {
  return *find(decode_payload(header), "kind")->get_if<std::string>();
}

std::string next_kind(ActorSession& session, double now_s) {
  const auto presence = session.next_presence(at(now_s));
  return presence ? kind_of(*presence) : "";
}

void hello_is_repeated_until_a_delivery_answers_it() {
  auto session = new_session();
  CHECK(next_kind(session, 0) == "hello" && next_kind(session, 0.5).empty());
  CHECK(next_kind(session, 1) == "hello");
  hear(session, delivery());
  CHECK(next_kind(session, 2) == "alive");
}

void a_beacon_of_another_broker_is_answered_with_hello_at_once() {
  auto session = new_session();
  hear(session, delivery());
  CHECK(next_kind(session, 0) == "alive");
  Beacon beacon;
  beacon.broker = 2;
  hear(session, beacon, 0.1);
  CHECK(next_kind(session, 0.1) == "hello");
}

void presence_follows_the_period_of_the_beacon() {
  auto session = new_session();
  CHECK(next_kind(session, 0) == "hello");
  hear(session, delivery());
  Beacon beacon;
  beacon.broker = 1;
  beacon.presence_s = 5.0;
  hear(session, beacon);
  CHECK(next_kind(session, 1) == "alive");
  hear(session, delivery(), 1);
  hear(session, beacon, 5.9);
  CHECK(next_kind(session, 5.9).empty());
  for (const Endpoint silent : session.take_silent_endpoints(at(6.5))) {
    CHECK(silent != Endpoint::ingest);
  }
  CHECK(next_kind(session, 6) == "alive");
  beacon.presence_s = std::nullopt;
  hear(session, beacon, 6.5);
  CHECK(next_kind(session, 7) == "alive");
}

void presence_never_offers_evaluations() {
  auto session = new_session();
  const auto hello = std::get<Hello>(decode_header<IngestMessage>({*session.next_presence(at(0))}));
  CHECK(!hello.evaluates && hello.actor == "actor-1" && hello.incarnation == 7);
}

void a_batch_needs_weights_and_credit() {
  auto session = new_session();
  hear(session, granting(1));
  CHECK(!session.may_begin());
  hear_snapshot(session, {1, 1});
  CHECK(session.may_begin());
  session.push({{1, 1}, "run", 5, {}});
  CHECK(!session.may_begin());
  check_raises<LocalProtocolError>([&] { session.push({{1, 1}, "run", 5, {}}); });
}

void a_batch_begun_under_one_broker_may_be_pushed_under_another() {
  auto session = new_session();
  hear(session, granting(1));
  hear(session, delivery(2));
  CHECK(session.push({{1, 1}, "run", 5, {}}) == 1);
}

void the_header_of_a_batch_names_the_policy_that_acted() {
  auto session = new_session();
  hear(session, granting(1));
  session.push({{1, 4}, "run", 5, {1, 2}});
  const auto batch = session.next_batch(at(0));
  const auto header = std::get<Trajectories>(decode_header<IngestMessage>({batch->header, {}}));
  CHECK(header.seq == 1 && header.run == "run" && header.env_steps == 5 && !header.sent_before);
  CHECK((header.version == PolicyVersion{1, 4} && batch->payload == Bytes{1, 2}));
}

Assignment level(std::uint64_t number) {
  Assignment assignment;
  assignment.number = number;
  assignment.task = "level-" + std::to_string(number);
  assignment.options = {{"level", Value(number)}, {"wind", Value(List{Value(0.0), Value(2.5)})}};
  assignment.seed = 7;
  return assignment;
}

void an_assignment_is_in_force_until_a_delivery_with_credit_has_none() {
  auto session = new_session();
  Delivery message = delivery();
  message.assignment = level(3);
  hear(session, message);
  CHECK(session.assignment()->task == "level-3" && session.assignment()->seed == 7);
  CHECK(find(session.assignment()->options, "level")->integer() == 3);
  CHECK((find(session.assignment()->options, "wind")->numbers() == std::vector<double>{0.0, 2.5}));
  hear(session, delivery(2));
  CHECK(session.assignment());
  hear(session, granting(1));
  CHECK(!session.assignment());
}

void a_seed_is_for_the_first_reset_to_an_assignment() {
  Adoption adoption;
  CHECK(!adoption.is_behind(std::nullopt) && !adoption.adopt(std::nullopt).task);
  CHECK(adoption.is_behind(level(1)));
  CHECK(adoption.adopt(level(1)).seed == 7 && !adoption.adopt(level(1)).seed);
  CHECK(adoption.adopt(level(2)).seed == 7 && adoption.adopt(level(2)).task == "level-2");
  CHECK(adoption.is_behind(std::nullopt));
}

void a_batch_names_its_task() {
  auto session = new_session();
  hear(session, granting(1));
  session.push({{1, 4}, "run", 5, {1, 2}, "level-3"});
  const auto batch = session.next_batch(at(0));
  const auto header = std::get<Trajectories>(decode_header<IngestMessage>({batch->header, {}}));
  CHECK(header.task == "level-3");
}

void older_weights_of_the_same_run_are_ignored() {
  auto session = new_session();
  hear_snapshot(session, {1, 5});
  hear_snapshot(session, {1, 4});
  CHECK((session.newest_version() == PolicyVersion{1, 5}));
}

void weights_are_used_only_with_the_policy_that_they_name() {
  auto session = new_session();
  Weights message;
  message.run = "run";
  message.version = {1, 9};
  message.policy_digest = policy_digest(example_policy_frame());
  session.on_weights({encode_header(message), example_weights_frame()});
  CHECK(!session.newest_version());
  hear_snapshot(session, {1, 5});
  session.on_weights({encode_header(message), example_weights_frame()});
  CHECK((session.policy_update()->version == PolicyVersion{1, 9}));
  CHECK(session.policy_update()->weights.at(default_module).at("w").size() == 2);
}

void a_policy_that_differs_from_its_digest_is_dropped() {
  auto session = new_session();
  Snapshot message;
  message.run = "run";
  message.policy_digest = "0123456789abcdef";
  check_raises<RemoteProtocolError>([&] {
    session.on_weights({encode_header(message), example_policy_frame(), example_weights_frame()});
  });
  CHECK(!session.newest_version());
}

void a_superseded_actor_is_refused_but_not_one_whose_batch_is_rejected() {
  auto session = new_session();
  Reject reject;
  reject.incarnation = 7;
  reject.code = RejectCode::invalid_batch;
  reject.seq = 1;
  hear(session, reject);
  CHECK(!session.refusal() && session.take_rejects().size() == 1);
  reject.code = RejectCode::superseded;
  reject.seq.reset();
  hear(session, reject);
  CHECK(session.refusal()->code() == RejectCode::superseded);
}

void messages_for_another_incarnation_are_ignored() {
  auto session = new_session();
  Reject reject;
  reject.incarnation = 6;
  reject.code = RejectCode::superseded;
  hear(session, reject);
  Delivery other = granting(5);
  other.incarnation = 6;
  hear(session, other);
  CHECK(!session.refusal() && !session.sender().credit());
}

void after_a_lost_connection_presence_goes_first() {
  auto session = new_session();
  hear(session, granting(1));
  next_kind(session, 0);
  session.push({{1, 1}, "run", 5, {}});
  session.on_disconnect(at(0.1));
  CHECK(next_kind(session, 0.1) == "alive" && !session.next_batch(at(0.1)));
  hear(session, granting(1), 0.2);
  CHECK(session.next_batch(at(0.2)).has_value());
}

void silent_endpoints_are_returned_once() {
  auto session = new_session();
  CHECK(session.take_silent_endpoints(at(0)).empty());
  CHECK(session.take_silent_endpoints(at(5)).size() == 3);
  CHECK(session.take_silent_endpoints(at(6)).empty());
}

}  // namespace

int main() {
  return run({
      {"hello is repeated until a delivery answers it",
       hello_is_repeated_until_a_delivery_answers_it},
      {"a beacon of another broker is answered with hello at once",
       a_beacon_of_another_broker_is_answered_with_hello_at_once},
      {"presence follows the period of the beacon", presence_follows_the_period_of_the_beacon},
      {"presence never offers evaluations", presence_never_offers_evaluations},
      {"a batch needs weights and credit", a_batch_needs_weights_and_credit},
      {"a batch begun under one broker may be pushed under another",
       a_batch_begun_under_one_broker_may_be_pushed_under_another},
      {"the header of a batch names the policy that acted",
       the_header_of_a_batch_names_the_policy_that_acted},
      {"an assignment is in force until a delivery with credit has none",
       an_assignment_is_in_force_until_a_delivery_with_credit_has_none},
      {"a seed is for the first reset to an assignment",
       a_seed_is_for_the_first_reset_to_an_assignment},
      {"a batch names its task", a_batch_names_its_task},
      {"older weights of the same run are ignored", older_weights_of_the_same_run_are_ignored},
      {"weights are used only with the policy that they name",
       weights_are_used_only_with_the_policy_that_they_name},
      {"a policy that differs from its digest is dropped",
       a_policy_that_differs_from_its_digest_is_dropped},
      {"a superseded actor is refused, but not one whose batch is rejected",
       a_superseded_actor_is_refused_but_not_one_whose_batch_is_rejected},
      {"messages for another incarnation are ignored",
       messages_for_another_incarnation_are_ignored},
      {"after a lost connection presence goes first", after_a_lost_connection_presence_goes_first},
      {"silent endpoints are returned once", silent_endpoints_are_returned_once},
  });
}
