/** Acting and recording for one simulator that owns its loop. */

import { Adoption } from "../connection/assignments.js";
import { monotonicS } from "../connection/clock.js";
import { OnnxPolicy } from "../policy/onnx-policy.js";
import { BatchDelivery, OpenBatch } from "../recording/batch-lifecycle.js";
import { Recorder } from "../recording/recorder.js";
import { flagOf, rewardOf } from "../recording/simulator-values.js";
import { ConfigError, LocalProtocolError, RemoteProtocolError } from "../wire/errors.js";
import { DEFAULT_MODULE } from "../wire/manifest.js";

/** @typedef {import("../connection/assignments.js").Reset} Reset */
/** @typedef {import("../connection/client.js").Client} Client */
/** @typedef {import("../connection/session.js").PolicyUpdate} PolicyUpdate */
/** @typedef {import("../policy/onnx-policy.js").Acted} Acted */
/** @typedef {import("../policy/onnx-policy.js").Tensors} Tensors */
/** @typedef {import("../wire/identity.js").PolicyVersion} PolicyVersion */
/** @typedef {import("../wire/manifest.js").ModuleManifest} ModuleManifest */

/**
 * Call `act` with each observation, and `record` with the result of the action. A batch begins with
 * the first `act` for which there is credit, with the newest weights, and ends by itself in
 * `record`. If the learner assigns tasks, call `adoptAssignment` before each reset.
 */
export class Agent {
  #client;
  #random;
  #clock;
  #delivery;
  /** @type {OnnxPolicy | null} */
  #policy = null;
  /** @type {{ digest: string, version: PolicyVersion } | null} of the present policy */
  #used = null;
  /** @type {ModuleManifest | null} */
  #module = null;
  /** @type {Recorder | null} */
  #recorder = null;
  /** @type {OpenBatch | null} */
  #batch = null;
  /** @type {Acted | null} */
  #acted = null;
  /** @type {Tensors | null} */
  #state = null;
  #reward = 0;
  #adoption = new Adoption();
  /** @type {string | null} of the assignment under which the present episodes began */
  #task = null;

  /**
   * @param {Client} client
   * @param {{ random?: () => number, clock?: import("../connection/clock.js").Clock }} [options]
   */
  constructor(client, { random = Math.random, clock = monotonicS } = {}) {
    this.#client = client;
    this.#random = random;
    this.#clock = clock;
    this.#delivery = new BatchDelivery(client);
  }

  /**
   * Returns an action: a number where actions are scalars, else a typed array; of a Tuple an array
   * and of a Dict an object of these. Waits for the broker, the learner and credit; null means that
   * time is up or that the client was closed.
   * @param {unknown} observation a typed array, lists of numbers, or an object of these by name
   * @param {number} [timeoutS]
   * @returns {Promise<any>}
   * @throws {ConfigError} the observation does not fit the learner's policy, or is not finite
   * @throws {LocalProtocolError} the last action was not recorded
   * @throws {import("../wire/errors.js").RefusedError} the broker will not serve this actor
   */
  async act(observation, timeoutS) {
    if (this.#acted !== null) {
      throw new LocalProtocolError(
        "act() twice: record() the result of each action; if the simulator failed, dropEpisode()",
      );
    }
    this.#batch ??= await this.#begin(timeoutS);
    if (this.#batch === null || this.#policy === null || this.#client.isClosed) return null;
    const state = this.#state ?? this.#policy.initialState;
    this.#acted = await this.#policy.act(observation, state, this.#reward);
    return this.#acted.envAction;
  }

  /**
   * Records the observation and the reward after the last action.
   * @param {unknown} observation
   * @param {number} reward
   * @param {{ terminated?: boolean, truncated?: boolean }} [ending] whether the episode ended in a
   *   terminal state, or was cut off
   * @throws {ConfigError} the observation does not fit the policy, or the reward or a flag is not
   *   one; the same call with other values may follow
   * @throws {LocalProtocolError} `act` was not called before
   */
  async record(observation, reward, { terminated = false, truncated = false } = {}) {
    const result = {
      reward: rewardOf(reward),
      terminated: flagOf("terminated", terminated),
      truncated: flagOf("truncated", truncated),
    };
    const acted = this.#acted;
    const [policy, recorder, batch] = [this.#policy, this.#recorder, this.#batch];
    if (acted === null || policy === null || recorder === null || batch === null) {
      throw new LocalProtocolError("act() before record()");
    }
    const isOver = result.terminated || result.truncated;
    const { newestVersion } = this.#client;
    const isFull = batch.isFull(recorder.envSteps + 1, this.#clock(), newestVersion);
    const isLast = isOver || isFull;
    const last = isLast ? await policy.observe(observation, acted.state, result.reward) : {};
    const final = isOver ? last : undefined;
    recorder.record(acted.observation, acted.recorded, { ...result, final });
    this.#acted = null;
    this.#state = isOver ? null : acted.state;
    this.#reward = isOver ? 0 : result.reward;
    if (!isFull) return;
    this.#batch = null;
    this.#delivery.deliver(batch.permit, recorder, last, this.#task);
  }

  /**
   * Forgets the open episode of a simulator that failed; `act` begins the next one. Its steps in
   * batches that were delivered stay delivered.
   */
  dropEpisode() {
    this.#acted = null;
    this.#state = null;
    this.#reward = 0;
    if (this.#recorder !== null) this.#client.countBroken(this.#recorder.dropEpisode());
  }

  /**
   * Returns how to reset the simulator for its next episode. If the assignment has changed, the
   * steps under the old one are delivered first; later batches name the new task. Before the first
   * episode, `await client.begin()` waits until the assignment is known.
   * @returns {Reset}
   * @throws {LocalProtocolError} the episode has not ended
   * @throws {import("../wire/errors.js").RefusedError} the broker will not serve this actor
   */
  adoptAssignment() {
    if (this.#recorder !== null && !this.#recorder.isAtStart) {
      throw new LocalProtocolError("adoptAssignment() before an episode begins, not within it");
    }
    const { assignment } = this.#client;
    if (this.#adoption.isBehind(assignment)) this.#deliverEnded();
    const reset = this.#adoption.adopt(assignment);
    this.#task = reset.task;
    return reset;
  }

  /** Ends the open batch, of which all episodes have ended. */
  #deliverEnded() {
    const [batch, recorder] = [this.#batch, this.#recorder];
    this.#batch = null;
    if (batch === null || recorder === null || recorder.envSteps === 0) return;
    /** @type {import("../wire/trajectory.js").Rows} */
    const nothingFollows = {};
    this.#delivery.deliver(batch.permit, recorder, nothingFollows, this.#task);
  }

  /**
   * Waits for credit, and for a policy that can be used.
   * @param {number} [timeoutS]
   */
  async #begin(timeoutS) {
    for (;;) {
      const permit = await this.#client.begin(timeoutS);
      if (permit === null) return null;
      try {
        await this.#use(permit.update);
        return new OpenBatch(permit, this.#clock());
      } catch (error) {
        if (!(error instanceof RemoteProtocolError)) throw error;
        const { version } = permit.update;
        console.error(`cannot act with policy version ${version}: ${error.message}`);
        if ((await this.#client.policyUpdate(version, timeoutS)) === null) return null;
      }
    }
  }

  /** @param {PolicyUpdate} update */
  async #use({ digest, version, policy, weights }) {
    if (this.#used !== null && this.#used.digest === digest && version.equals(this.#used.version)) {
      return;
    }
    const module = moduleOf(policy);
    const isNew = this.#used === null || this.#used.digest !== digest;
    const acting = isNew || this.#policy === null ? await this.#load(policy, module) : this.#policy;
    acting.setWeights(weights.get(DEFAULT_MODULE) ?? new Map());
    this.#policy = acting;
    this.#used = { digest, version };
    if (isNew) this.#adopt(module);
  }

  /**
   * @param {import("../wire/manifest.js").Policy} policy
   * @param {ModuleManifest} module
   */
  #load(policy, module) {
    const graph = policy.graphs.get(DEFAULT_MODULE) ?? new Uint8Array(0);
    if (graph.length === 0) {
      throw new ConfigError("this learner exports no policy graph: only RLlib can run its policy");
    }
    return OnnxPolicy.load(graph, module.graph, this.#random);
  }

  /**
   * Records for another module. If its columns differ, the present episode is cut off.
   * @param {ModuleManifest} module
   */
  #adopt(module) {
    const former = this.#module;
    this.#module = module;
    if (former !== null && recordsAlike(former, module)) return;
    this.#recorder = new Recorder(module, this.#clock);
    this.#state = null;
    this.#reward = 0;
  }
}

/**
 * Returns the only module of a policy with one agent.
 * @param {import("../wire/manifest.js").Policy} policy
 * @throws {ConfigError} it has several agents or modules
 */
export function moduleOf({ manifest }) {
  const module = manifest.modules.get(DEFAULT_MODULE);
  if (module === undefined || manifest.modules.size !== 1 || manifest.multiAgent) {
    throw new ConfigError(
      "this learner trains several agents or modules; an Agent supports only one",
    );
  }
  return module;
}

/**
 * @param {ModuleManifest} one
 * @param {ModuleManifest} other
 */
function recordsAlike(one, other) {
  const parts = (/** @type {ModuleManifest} */ { columns, lookback, graph }) =>
    JSON.stringify([columns, lookback, graph.states]);
  return parts(one) === parts(other);
}
