// An actor that plays cart-pole with random actions and pushes what it records.
//
// Ends with status 3 where the broker refuses it, 2 where it cannot record what the learner wants,
// and 0 on SIGTERM, once it has delivered and said goodbye. Prints the options of what the learner
// has assigned, a line for each episode that begins under it.

#include <headrace/headrace.hpp>
#include <iostream>
#include <random>

#include "cart_pole.hpp"
#include "options.hpp"
#include "stopping.hpp"

namespace {

using headrace::Array;

/// Raises ConfigError: the learner wants more of an action than the action.
void check_columns(const headrace::PolicyUpdate& update) {
  for (const auto& [id, module] : update.policy->manifest.modules) {
    for (const auto& column : module.columns) {
      const bool is_known = column.name == headrace::observation_column ||
                            column.name == headrace::action_column ||
                            column.name == headrace::reward_column;
      if (!is_known) {
        throw headrace::ConfigError(
            "the learner wants the column '" + column.name + "' of module '" + id +
            "': an actor with random actions has only obs, actions, rewards");
      }
    }
  }
}

/// Returns a line that says what an episode is of.
std::string line_of(const headrace::Reset& reset) {
  std::string line = reset.task.value_or("nothing");
  for (const auto& [name, value] : reset.options) {
    line += " " + name + "=" + std::to_string(value.integer().value_or(-1));
  }
  return line + (reset.seed ? " seed=" + std::to_string(*reset.seed) : "");
}

/// Steps, within credit, until it is told to stop.
void play(headrace::Client& client, const Options& options, Stopping& stopping) {
  CartPole cart_pole(options.natural("--seed"));
  std::mt19937_64 random(options.natural("--seed"));
  headrace::RecordingAgent agent(client);
  const auto observe = [&] { return Array::of(cart_pole.observation()); };
  const auto begin = [&] {
    const headrace::Reset reset = agent.adopt_assignment();
    if (reset.task) std::cout << line_of(reset) << std::endl;
    cart_pole.reset();
    agent.start_episode(observe());
  };
  const auto pause = std::chrono::duration_cast<std::chrono::nanoseconds>(
      headrace::Seconds(1.0 / options.number("--steps-per-s")));
  begin();
  while (!stopping.wait(pause)) {
    const auto update = agent.policy(headrace::Seconds(0.2));
    if (!update) continue;
    check_columns(*update);
    const auto action = static_cast<std::int64_t>(random() % 2);
    const CartPoleStep step = cart_pole.step(action);
    agent.record({{headrace::action_column, Array::scalar(action)}},
                 static_cast<float>(step.reward), observe(), {step.terminated, step.truncated});
    if (step.terminated || step.truncated) begin();
  }
  agent.flush();
}

}  // namespace

int main(int count, char** words) {
  const Options options(count, words,
                        {{"--address", ""},
                         {"--join", ""},
                         {"--actor", ""},
                         {"--seed", "0"},
                         {"--steps-per-s", "1000"}});
  Stopping stopping;
  try {
    headrace::ClientConfig config;
    config.address = options.text("--address");
    config.actor = options.text("--actor");
    if (!options.text("--join").empty()) {
      config.invitation = headrace::load_invitation(options.text("--join"));
    }
    headrace::Client client(config);
    play(client, options, stopping);
    client.close();
  } catch (const headrace::RefusedError& error) {
    std::cerr << error.what() << "\n";
    return 3;
  } catch (const headrace::ConfigError& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
