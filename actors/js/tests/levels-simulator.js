/**
 * A simulator that counts to five, and observes the level that it was reset to, 0 without one.
 * Prints the task and seed of each reset as JSON.
 *
 *     node tests/levels-simulator.js --address A       # acts here, until SIGTERM
 *     node tests/levels-simulator.js --endpoint E --until level-7 --episodes 12 --patience-s 15
 *
 * With `--endpoint` a policy server acts, until `--episodes` episodes of task `--until` have ended.
 * If there is no policy after `--waits` waits of `--patience-s` seconds, no episode is played.
 */

import { parseArgs } from "node:util";

import { Agent } from "../src/agents/agent.js";
import { Client } from "../src/connection/client.js";
import { RemotePolicy } from "../src/inference/remote-policy.js";

/** @typedef {import("../src/connection/assignments.js").Reset} Reset */

const LENGTH = 5;

const { values } = parseArgs({
  options: {
    address: { type: "string" },
    endpoint: { type: "string" },
    until: { type: "string" },
    episodes: { type: "string", default: "12" },
    "patience-s": { type: "string", default: "15" },
    waits: { type: "string", default: "1" },
  },
});
/** @type {Omit<Reset, "options">[]} */
const resets = [];

/** Observes its count and its level. */
class Levels {
  #t = 0;
  #level;

  /** @param {Reset} reset */
  constructor({ task, options, seed }) {
    resets.push({ task, seed });
    this.#level = Number(options.level ?? 0);
  }

  get observation() {
    return [this.#t, this.#level];
  }

  get isOver() {
    return this.#t === LENGTH;
  }

  /** Returns the reward. */
  step() {
    this.#t += 1;
    return this.#level;
  }
}

/** @param {string | undefined} address */
async function actHere(address) {
  const client = new Client(address);
  process.once("SIGTERM", () => client.close());
  const agent = new Agent(client);
  await client.begin();
  while (!client.isClosed) {
    const simulator = new Levels(agent.adoptAssignment());
    while (!simulator.isOver && (await agent.act(simulator.observation)) !== null) {
      const reward = simulator.step();
      await agent.record(simulator.observation, reward, { terminated: simulator.isOver });
    }
  }
  await client.close();
}

/** @param {RemotePolicy} policy */
async function playRemotely(policy) {
  const episode = policy.startEpisode();
  const simulator = new Levels(episode.assigned);
  let reward = 0;
  while (!simulator.isOver) {
    await episode.act(simulator.observation, reward);
    reward = simulator.step();
  }
  await episode.end(simulator.observation, reward);
}

/** @param {string} endpoint */
async function letServerAct(endpoint) {
  const policy = new RemotePolicy(endpoint);
  const episodes = Number(values.episodes);
  let isThere = false;
  for (let wait = 0; wait < Number(values.waits) && !isThere; wait += 1) {
    isThere = await policy.waitForPolicy(Number(values["patience-s"]));
  }
  if (isThere) {
    const isLast = (/** @type {{ task: string | null }} */ { task }) => task === values.until;
    while (resets.filter(isLast).length < episodes) await playRemotely(policy);
  }
  policy.close();
}

if (values.endpoint === undefined) await actHere(values.address);
else await letServerAct(values.endpoint);
console.log(JSON.stringify(resets));
