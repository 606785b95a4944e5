/**
 * An actor that balances a pole with random actions, and delivers its steps.
 *
 *     node tests/random-actor.js --address A --seed 1 --steps-per-s 1000
 *
 * A broker with keys needs `--join FILE` with an invitation instead of the address. On SIGTERM it
 * delivers its batches, says goodbye and exits; if it is refused, it exits with status 3.
 */

import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { CartPole } from "../examples/cart-pole.js";
import { moduleOf } from "../src/agents/agent.js";
import { nextTurn } from "../src/connection/change.js";
import { Client } from "../src/connection/client.js";
import { monotonicS } from "../src/connection/clock.js";
import { loadInvitation } from "../src/connection/invitation-file.js";
import { BatchDelivery, OpenBatch } from "../src/recording/batch-lifecycle.js";
import { Recorder } from "../src/recording/recorder.js";
import { ConfigError, HeadraceError, RefusedError } from "../src/wire/errors.js";
import { seeded } from "./support/random.js";

/** @typedef {import("../src/connection/client.js").BatchPermit} BatchPermit */

const EXIT_REFUSED = 3;
const RECORDED = ["obs", "actions", "rewards"];

/** Steps a simulator, and records the columns that the learner asks for. */
class RandomActor {
  #client;
  #random;
  #stepsPerS;
  #simulator;
  #observation;
  #delivery;
  /** @type {Recorder | null} */
  #recorder = null;
  #digest = "";

  /**
   * @param {Client} client
   * @param {() => number} random
   * @param {number} stepsPerS
   */
  constructor(client, random, stepsPerS) {
    this.#client = client;
    this.#random = random;
    this.#stepsPerS = stepsPerS;
    this.#simulator = new CartPole(random);
    this.#observation = this.#simulator.reset();
    this.#delivery = new BatchDelivery(client);
  }

  /** Records batch after batch until the client is closed. */
  async run() {
    while (!this.#client.isClosed) {
      const permit = await this.#client.begin();
      if (permit !== null) await this.#record(permit);
    }
  }

  /** @param {BatchPermit} permit */
  async #record(permit) {
    const recorder = this.#recorderFor(permit);
    const batch = new OpenBatch(permit, monotonicS());
    while (!batch.isFull(recorder.envSteps, monotonicS(), this.#client.newestVersion)) {
      if (this.#client.isClosed) return;
      this.#step(recorder);
      await this.#pace();
    }
    this.#delivery.deliver(permit, recorder, { obs: this.#observation });
  }

  /** Waits for the next step, at least until the event loop has read its sockets. */
  async #pace() {
    if (this.#stepsPerS < Infinity) await pause(1000 / this.#stepsPerS);
    else await nextTurn();
  }

  /** @param {Recorder} recorder */
  #step(recorder) {
    const action = this.#random() < 0.5 ? 0 : 1;
    const step = this.#simulator.step(action);
    const final = { obs: step.observation };
    recorder.record({ obs: this.#observation }, { actions: action }, { ...step, final });
    const isOver = step.terminated || step.truncated;
    this.#observation = isOver ? this.#simulator.reset() : step.observation;
  }

  /**
   * @param {BatchPermit} permit
   * @throws {ConfigError} the learner asks for a column that this actor does not have
   */
  #recorderFor({ update }) {
    if (this.#recorder === null || update.digest !== this.#digest) {
      const module = moduleOf(update.policy);
      const unknown = module.columns.filter(({ name }) => !RECORDED.includes(name));
      if (unknown.length > 0) {
        const names = unknown.map(({ name }) => name).join(", ");
        throw new ConfigError(`the learner asks for ${names}; this actor records ${RECORDED}`);
      }
      this.#digest = update.digest;
      this.#recorder = new Recorder(module);
      this.#observation = this.#simulator.reset();
    }
    return this.#recorder;
  }
}

const { values } = parseArgs({
  options: {
    address: { type: "string" },
    actor: { type: "string" },
    join: { type: "string" },
    seed: { type: "string", default: "0" },
    "steps-per-s": { type: "string", default: "Infinity" },
  },
});

/** Acts until it is stopped; returns the exit status. */
async function main() {
  const invitation = values.join === undefined ? undefined : loadInvitation(values.join);
  const client = new Client(values.address, { actor: values.actor, invitation });
  process.once("SIGTERM", () => client.close());
  try {
    const random = seeded(Number(values.seed));
    await new RandomActor(client, random, Number(values["steps-per-s"])).run();
    return 0;
  } finally {
    await client.close();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof HeadraceError ? error.message : error);
  process.exitCode = error instanceof RefusedError ? EXIT_REFUSED : 1;
}
