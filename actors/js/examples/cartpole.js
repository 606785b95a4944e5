/**
 * A simulator with its own loop, which trains until it is stopped.
 *
 *     headrace broker
 *     headrace learner examples/cartpole.toml
 *     node examples/cartpole.js --mode local           # as many as you like
 *
 *     headrace policy-server                           # or, without ONNX Runtime here:
 *     node examples/cartpole.js --mode remote
 */

import { parseArgs } from "node:util";

import { Agent, Client, RefusedError, RemotePolicy, UnknownEpisodeError } from "headrace";

import { CartPole } from "./cart-pole.js";

/**
 * Acts in this process, with the learner's weights.
 * @param {string | undefined} address of the broker
 * @param {AbortSignal} stop
 */
async function actLocally(address, stop) {
  const client = new Client(address);
  stop.addEventListener("abort", () => client.close());
  const agent = new Agent(client);
  const simulator = new CartPole();
  let observation = simulator.reset();
  for (let action = await agent.act(observation); action !== null;) {
    const step = simulator.step(action);
    await agent.record(step.observation, step.reward, step);
    observation = step.terminated || step.truncated ? simulator.reset() : step.observation;
    action = await agent.act(observation);
  }
}

/**
 * Asks a policy server for each action.
 * @param {string | undefined} endpoint of the server
 * @param {AbortSignal} stop
 */
async function actRemotely(endpoint, stop) {
  const policy = new RemotePolicy(endpoint);
  stop.addEventListener("abort", () => policy.close());
  const simulator = new CartPole();
  while (!stop.aborted) await playRemotely(policy, simulator);
}

/**
 * Plays one episode; if a server was restarted, the rest of it counts as another one.
 * @param {RemotePolicy} policy
 * @param {CartPole} simulator
 */
async function playRemotely(policy, simulator) {
  let episode = policy.startEpisode();
  let step = { observation: simulator.reset(), reward: 0, terminated: false, truncated: false };
  while (!step.terminated && !step.truncated) {
    try {
      step = simulator.step(Number(await episode.act(step.observation, step.reward)));
    } catch (error) {
      if (!(error instanceof UnknownEpisodeError)) throw error;
      episode = policy.startEpisode();
      step = { ...step, reward: 0 };
    }
  }
  await episode.end(step.observation, step.reward, step).catch(ignoreUnknownEpisode);
}

/** @param {unknown} error from a restarted server, for an episode that is over anyway */
function ignoreUnknownEpisode(error) {
  if (!(error instanceof UnknownEpisodeError)) throw error;
}

const { values } = parseArgs({
  options: { mode: { type: "string", default: "local" }, address: { type: "string" } },
});
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopping.abort());
const act = values.mode === "remote" ? actRemotely : actLocally;
try {
  await act(values.address, stopping.signal);
} catch (error) {
  if (!stopping.signal.aborted) {
    console.error(error instanceof RefusedError ? error.message : error);
    process.exitCode = 1;
  }
}
