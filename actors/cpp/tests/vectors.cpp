// Decodes every test vector that an actor or a thin simulator sends or receives, and encodes it
// again.
//
//     vectors protocol/vectors
//
// Prints a line per vector; exits with status 1 if a byte differs.

#include <headrace/headrace.hpp>
#include <iostream>
#include <set>

#include "vector_files.hpp"

namespace {

using headrace::Bytes;
using headrace::Frames;

Bytes encode_again(const Bytes& payload) {
  return headrace::encode_payload(headrace::decode_payload(payload));
}

template <class Messages>
Bytes header_again(const Frames& frames) {
  return headrace::encode_header(headrace::decode_header<Messages>(frames));
}

template <class Messages>
Frames headers_and_payloads_again(const Frames& frames) {
  Frames again{header_again<Messages>(frames)};
  for (std::size_t at = 1; at < frames.size(); ++at) again.push_back(encode_again(frames[at]));
  return again;
}

Frames trajectories_again(const Frames& frames) {
  return {header_again<headrace::IngestMessage>(frames),
          headrace::pack_batch(headrace::unpack_batch(frames.at(1)))};
}

Frames snapshot_again(const Frames& frames) {
  return {header_again<headrace::WeightsMessage>(frames),
          headrace::encode_policy(headrace::decode_policy(frames.at(1))),
          encode_again(frames.at(2))};
}

Frames question_again(const Frames& frames) {
  return {header_again<headrace::Question>(frames),
          headrace::encode_turns(headrace::decode_turns(frames.at(1)))};
}

Frames actions_again(const Frames& frames) {
  return {header_again<headrace::Answer>(frames),
          headrace::encode_actions(headrace::decode_actions(frames.at(1)))};
}

using Again = Frames (*)(const Frames&);

const std::map<std::string, Again>& kinds() {
  static const std::map<std::string, Again> known{
      {"hello", headers_and_payloads_again<headrace::IngestMessage>},
      {"alive", headers_and_payloads_again<headrace::IngestMessage>},
      {"goodbye", headers_and_payloads_again<headrace::IngestMessage>},
      {"trajectories", trajectories_again},
      {"delivery", headers_and_payloads_again<headrace::ControlMessage>},
      {"reject", headers_and_payloads_again<headrace::ControlMessage>},
      {"beacon", headers_and_payloads_again<headrace::ControlMessage>},
      {"snapshot", snapshot_again},
      {"weights", headers_and_payloads_again<headrace::WeightsMessage>},
      {"act", question_again},
      {"end", question_again},
      {"describe", headers_and_payloads_again<headrace::Question>},
      {"actions", actions_again},
      {"ended", headers_and_payloads_again<headrace::Answer>},
      {"denial", headers_and_payloads_again<headrace::Answer>},
      {"description", headers_and_payloads_again<headrace::Answer>},
  };
  return known;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) {
    std::cerr << "usage: " << words[0] << " FOLDER\n";
    return 2;
  }
  std::set<std::string> known;
  std::size_t same = 0;
  std::size_t different = 0;
  for (const auto& [name, frames] : read_vectors(words[1])) {
    const auto again = kinds().find(name.substr(0, name.find('.')));
    if (again == kinds().end()) {
      std::cout << name << ": skipped, for learners\n";
      continue;
    }
    known.insert(again->first);
    const bool is_same = again->second(frames) == frames;
    std::cout << name << (is_same ? ": same bytes\n" : ": DIFFERENT BYTES\n");
    ++(is_same ? same : different);
  }
  std::cout << same << " of " << same + different << " vectors are the same, of " << known.size()
            << " of " << kinds().size() << " kinds\n";
  return different == 0 && known.size() == kinds().size() ? 0 : 1;
}
