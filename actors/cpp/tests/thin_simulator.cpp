// Plays episodes of a given length against a policy server, for observations of two numbers.
//
// Observations are the turn and the assigned level, 0 without one. Prints a line per answer: the
// episode's number, the turn, and the action. Exits with status 4 if there is no policy after
// `--waits` waits.

#include <headrace/headrace.hpp>
#include <iostream>

#include "options.hpp"

namespace {

headrace::Array observe(std::uint64_t t, const headrace::Reset& reset) {
  const headrace::Value* level = headrace::find(reset.options, "level");
  const double at = level == nullptr ? 0.0 : level->number().value_or(0.0);
  return headrace::Array::of(std::vector<float>{static_cast<float>(t), static_cast<float>(at)});
}

bool is_there(headrace::RemotePolicy& policy, const Options& options) {
  for (std::uint64_t wait = 0; wait < options.natural("--waits"); ++wait) {
    if (policy.wait_for_policy(headrace::Seconds(options.number("--patience-s")))) return true;
  }
  return false;
}

}  // namespace

int main(int count, char** words) {
  const Options options(count, words,
                        {{"--endpoint", ""},
                         {"--episodes", "1"},
                         {"--length", "5"},
                         {"--truncated", "0"},
                         {"--patience-s", "20"},
                         {"--waits", "1"}});
  headrace::RemotePolicy policy(options.text("--endpoint"));
  if (!is_there(policy, options)) return 4;
  const std::uint64_t length = options.natural("--length");
  const bool is_truncated = options.natural("--truncated") != 0;
  for (std::uint64_t number = 0; number < options.natural("--episodes");) {
    auto episode = policy.start_episode();
    try {
      for (std::uint64_t t = 0; t < length; ++t) {
        const auto action = policy.act(episode, observe(t, episode.assigned()), t == 0 ? 0.0 : 1.0);
        std::cout << number << " " << t << " " << action.integer().value() << std::endl;
      }
      policy.end(episode, observe(length, episode.assigned()), 1.0, {!is_truncated, is_truncated});
      ++number;
    } catch (const headrace::UnknownEpisodeError&) {
      std::cout << number << " unknown" << std::endl;
    } catch (const headrace::RefusedError& error) {
      std::cerr << error.what() << "\n";
      return 3;
    }
  }
}
