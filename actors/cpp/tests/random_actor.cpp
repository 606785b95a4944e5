// An actor that plays cart-pole with random actions, and pushes its steps.
//
// Exits with status 3 if the broker refuses it, with 2 if it cannot record what the learner asks
// for, and with 0 on SIGTERM, after it has delivered its batches and said goodbye. Prints a line
// with the task, options and seed for each episode that begins under an assignment.

#include <headrace/headrace.hpp>
#include <iostream>
#include <random>

#include "cart_pole.hpp"
#include "options.hpp"
#include "stopping.hpp"

namespace {

using headrace::Array;

/// Raises ConfigError: the learner asks for more than a random action has.
void check_columns(const headrace::PolicyUpdate& update) {
  for (const auto& [id, module] : update.policy->manifest.modules) {
    for (const auto& column : module.columns) {
      const bool is_known = column.name == headrace::observation_column ||
                            column.name == headrace::action_column ||
                            column.name == headrace::reward_column;
      if (!is_known) {
        throw headrace::ConfigError(
            "the learner asks for the column '" + column.name + "' of module '" + id +
            "': an actor with random actions has only obs, actions, rewards");
      }
    }
  }
}

/// Returns a line with the task, options and seed of a reset.
std::string line_of(const headrace::Reset& reset) {
  std::string line = reset.task.value_or("nothing");
  for (const auto& [name, value] : reset.options) {
    line += " " + name + "=" + std::to_string(value.integer().value_or(-1));
  }
  return line + (reset.seed ? " seed=" + std::to_string(*reset.seed) : "");
}

/// Steps, within credit, until a signal arrives.
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
