// Frames to values and back: values survive the round trip, and no bytes do harm.

#include <cstdlib>
#include <headrace/headrace.hpp>

#include "check.hpp"
#include "vector_files.hpp"

namespace {

using namespace headrace;

Bytes hexadecimal(const char* text) { return from_hexadecimal(text); }

void arrays_keep_type_shape_and_elements() {
  const Array written = Array::of({2, 2}, std::vector<float>{1.0F, 2.0F, 3.0F, 4.0F});
  const Map read = decode_payload(encode_payload({{"a", written}}));
  CHECK(*find(read, "a")->get_if<Array>() == written);
}

void a_whole_float_stays_a_float() {
  const Map read = decode_payload(encode_payload({{"reward", 1.0}}));
  CHECK(find(read, "reward")->get_if<double>() != nullptr);
}

void big_endian_arrays_are_read() {
  // {"a": {b"nd": true, b"type": ">i2", b"shape": [1], b"data": 01 02}}
  const Map read = decode_payload(
      hexadecimal("81a16184c4026e64c3c40474797065a33e6932c40573686170659101c40464617461c4020102"));
  CHECK(find(read, "a")->get_if<Array>()->data<std::int16_t>()[0] == 0x0102);
}

void an_array_of_fewer_bytes_than_its_shape_is_malformed() {
  check_raises<RemoteProtocolError>([] {
    decode_payload(hexadecimal(
        "81a16184c4026e64c3c40474797065a33c6932c40573686170659102c40464617461c4020102"));
  });
}

void objects_and_extensions_are_malformed() {
  check_raises<RemoteProtocolError>([] {
    decode_payload(
        hexadecimal("81a16184c4026e64c3c40474797065a27c4fc40573686170659101c40464617461c4020102"));
  });
  check_raises<RemoteProtocolError>([] { decode_payload(hexadecimal("81a161d40100")); });
}

void a_payload_that_is_nested_too_deeply_is_refused() {
  Value tree = Map{};
  for (int depth = 0; depth < 7; ++depth) tree = Map{{"a", tree}};
  decode_payload(encode_payload(*tree.get_if<Map>()));
  check_raises<RemoteProtocolError>([&] { decode_payload(encode_payload({{"a", tree}})); });
}

void an_array_may_be_at_the_deepest_level() {
  Value tree = Array::of(std::vector<float>{1.0F});
  for (int depth = 0; depth < 8; ++depth) tree = Map{{"a", tree}};
  decode_payload(encode_payload(*tree.get_if<Map>()));
}

void a_list_of_too_many_parts_takes_no_memory() {
  check_raises<RemoteProtocolError>([] { decode_payload(hexadecimal("81a161ddffffffff")); });
}

void text_that_is_not_utf8_is_malformed() {
  check_raises<RemoteProtocolError>([] { decode_payload(hexadecimal("81a1ff01")); });
}

void an_unknown_kind_and_another_wire_version_have_their_own_codes() {
  const auto code_of = [](const Map& header) {
    try {
      decode_header<ControlMessage>({encode_payload(header)});
    } catch (const RemoteProtocolError& error) {
      return error.code();
    }
    return RejectCode::other;
  };
  CHECK(code_of({{"kind", "dance"}, {"wire", 1}}) == RejectCode::unknown_kind);
  CHECK(code_of({{"kind", "beacon"}, {"wire", 2}}) == RejectCode::unsupported_version);
  CHECK(code_of({{"kind", "beacon"}, {"wire", 1}}) == RejectCode::malformed);
}

void unknown_keys_are_ignored_and_optional_keys_have_defaults() {
  const Frames frames{
      encode_payload({{"kind", "beacon"}, {"broker", 3}, {"wire", 1}, {"mood", "good"}})};
  const auto beacon = std::get<Beacon>(decode_header<ControlMessage>(frames));
  CHECK(beacon.broker == 3 && !beacon.run && beacon.wire_max == 1);
}

void an_unknown_code_is_read_as_other() {
  const Frames frames{encode_payload(
      {{"kind", "reject"}, {"incarnation", 7}, {"code", "tomorrow"}, {"reason", ""}, {"wire", 1}})};
  CHECK(std::get<Reject>(decode_header<ControlMessage>(frames)).code == RejectCode::other);
}

void the_digest_of_a_policy_is_the_one_in_the_vector() {
  const Frames frames = read_vectors(std::getenv("HEADRACE_VECTORS")).at("snapshot");
  const auto snapshot = std::get<Snapshot>(decode_header<WeightsMessage>(frames));
  CHECK(policy_digest(frames[1]) == snapshot.policy_digest);
}

void an_invitation_is_read_and_damage_is_noticed() {
  const std::string line =
      "headrace-invitation-1:eyJhZGRyZXNzIjoidGNwOi8vMTI3LjAuMC4xOjU1NTUiLCJyb2xlIjoiYWN0b3IiLCJu"
      "YW1lIjoid2Fsa2VyIiwic2VydmVyX2tleSI6ImFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWEi"
      "LCJzZWNyZXRfa2V5IjoiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYiJ9";
  const Invitation invitation = Invitation::parse(line + "\n");
  CHECK(invitation.name == "walker" && invitation.may_speak_for("walker.1"));
  CHECK(!invitation.may_speak_for("walkers"));
  check_raises<ConfigError>([&] { Invitation::parse(line.substr(0, line.size() - 4)); });
  check_raises<ConfigError>([] { Invitation::parse("hello"); });
}

void an_actor_chooses_the_broker_that_other_languages_choose() {
  const std::vector<std::string> brokers =
      split_addresses("tcp://10.0.0.1:5555, tcp://10.0.0.2:5555,tcp://10.0.0.3:5555");
  CHECK(brokers.size() == 3);
  const int chosen[] = {0, 1, 0, 2, 1, 0};
  for (int actor = 0; actor < 6; ++actor) {
    CHECK(choose_broker(brokers, "walker-" + std::to_string(actor)) ==
          brokers[static_cast<std::size_t>(chosen[actor])]);
  }
}

void several_brokers_may_each_name_their_endpoints() {
  const std::string first = "ingest=tcp://a:1,control=tcp://a:2,weights=tcp://a:3,learner=tcp://a:4";
  const std::string second = "ingest=tcp://b:1,control=tcp://b:2,weights=tcp://b:3,learner=tcp://b:4";
  const std::vector<std::string> expected{first, "tcp://c:1", second};
  CHECK(split_addresses(first + ",tcp://c:1," + second) == expected);
  CHECK(split_addresses(first).size() == 1);
  check_raises<ConfigError>([&] { split_addresses(first + "," + first); });
}

/// Decodes frames; only RemoteProtocolError may be raised.
template <class Decode>
bool is_read(const Decode& decode) {
  try {
    decode();
  } catch (const RemoteProtocolError&) {
    return false;
  }
  return true;
}

void decode_every_way(const Frames& frames) {
  is_read([&] { decode_header<IngestMessage>(frames); });
  is_read([&] { decode_header<ControlMessage>(frames); });
  is_read([&] { decode_header<WeightsMessage>(frames); });
  is_read([&] { decode_header<Question>(frames); });
  is_read([&] { decode_header<Answer>(frames); });
  for (const Bytes& frame : frames) {
    is_read([&] { decode_payload(frame); });
    is_read([&] { unpack_batch(frame); });
    is_read([&] { decode_policy(frame); });
    is_read([&] { decode_turns(frame); });
    is_read([&] { decode_actions(frame); });
  }
}

void mutate(Bytes& frame, std::mt19937_64& random) {
  const auto at = [&] { return static_cast<std::ptrdiff_t>(random() % (frame.size() + 1)); };
  switch (random() % 4) {
    case 0:
      frame.resize(static_cast<std::size_t>(at()));
      break;
    case 1:
      frame.insert(frame.begin() + at(), static_cast<std::uint8_t>(random()));
      break;
    default:
      if (!frame.empty()) frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
  }
}

void mutated_bytes_give_a_value_or_one_type_of_error() {
  const auto seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  for (const auto& vector : read_vectors(std::getenv("HEADRACE_VECTORS"))) {
    for (int round = 0; round < 1000; ++round) {
      Frames frames = vector.second;
      const auto changes = random() % 4 + 1;
      for (std::uint64_t change = 0; change < changes; ++change) {
        mutate(frames[random() % frames.size()], random);
      }
      decode_every_way(frames);
    }
  }
}

}  // namespace

int main() {
  return run({
      {"arrays keep type, shape and elements", arrays_keep_type_shape_and_elements},
      {"a whole float stays a float", a_whole_float_stays_a_float},
      {"big-endian arrays are read", big_endian_arrays_are_read},
      {"an array of fewer bytes than its shape is malformed",
       an_array_of_fewer_bytes_than_its_shape_is_malformed},
      {"objects and extensions are malformed", objects_and_extensions_are_malformed},
      {"a payload that is nested too deeply is refused",
       a_payload_that_is_nested_too_deeply_is_refused},
      {"an array may be at the deepest level", an_array_may_be_at_the_deepest_level},
      {"a list of too many parts takes no memory", a_list_of_too_many_parts_takes_no_memory},
      {"text that is not UTF-8 is malformed", text_that_is_not_utf8_is_malformed},
      {"an unknown kind and another wire version have their own codes",
       an_unknown_kind_and_another_wire_version_have_their_own_codes},
      {"unknown keys are ignored, and optional keys have defaults",
       unknown_keys_are_ignored_and_optional_keys_have_defaults},
      {"an unknown code is read as other", an_unknown_code_is_read_as_other},
      {"the digest of a policy is the one in the vector",
       the_digest_of_a_policy_is_the_one_in_the_vector},
      {"an invitation is read, and damage is noticed", an_invitation_is_read_and_damage_is_noticed},
      {"an actor chooses the broker that other languages choose",
       an_actor_chooses_the_broker_that_other_languages_choose},
      {"several brokers may each name their endpoints",
       several_brokers_may_each_name_their_endpoints},
      {"mutated bytes give a value or one type of error",
       mutated_bytes_give_a_value_or_one_type_of_error},
  });
}
