// A simulator that owns its loop and asks `headrace policy-server` for each action.
//
//     headrace broker
//     headrace learner examples/cartpole.toml
//     headrace policy-server
//     cartpole_remote --endpoint tcp://127.0.0.1:5570 --episodes 1000

#include <headrace/headrace.hpp>
#include <iostream>

#include "cart_pole.hpp"
#include "options.hpp"

namespace {

headrace::Array observe(const CartPole& cart_pole) {
  return headrace::Array::of(cart_pole.observation());
}

/// Plays one episode, and returns its length.
int play(headrace::RemotePolicy& policy, CartPole& cart_pole) {
  auto episode = policy.start_episode();
  cart_pole.reset();
  CartPoleStep step{0.0, false, false};
  for (int length = 0;; ++length) {
    if (step.terminated || step.truncated) {
      policy.end(episode, observe(cart_pole), step.reward, {step.terminated, step.truncated});
      return length;
    }
    const headrace::Value action = policy.act(episode, observe(cart_pole), step.reward);
    step = cart_pole.step(action.integer().value());
  }
}

}  // namespace

int main(int count, char** words) {
  const Options options(count, words,
                        {{"--endpoint", headrace::default_inference},
                         {"--episodes", "1000"},
                         {"--seed", std::to_string(std::random_device()())}});
  headrace::RemotePolicy policy(options.text("--endpoint"));
  CartPole cart_pole(options.natural("--seed"));
  for (std::uint64_t played = 0; played < options.natural("--episodes");) {
    try {
      const int length = play(policy, cart_pole);
      if (++played % 100 == 0)
        std::cout << played << " episodes, the last: " << length << std::endl;
    } catch (const headrace::UnknownEpisodeError&) {
      // The server was restarted and has lost the episode: play another one.
    } catch (const headrace::RefusedError& error) {
      std::cerr << error.what() << "\n";
      return 3;
    }
  }
}
