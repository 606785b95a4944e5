/** An episode that a policy server acts in. */

import { randomBytes } from "node:crypto";

import { RemoteProtocolError } from "./errors.js";
import { decodeActions, DEFAULT_AGENT } from "./inference-messages.js";

/** @typedef {import("./assigned.js").Reset} Reset */
/** @typedef {import("./inference-messages.js").Action} Action */
/** @typedef {import("./inference-messages.js").AgentTurn} AgentTurn */
/** @typedef {import("./inference-messages.js").Answer} Answer */
/** @typedef {import("./inference-messages.js").Question} Question */

/**
 * Sends a request until it is answered.
 * @typedef {(question: Question, turns: Map<string, AgentTurn>) =>
 *   Promise<{ message: Answer, payloads: Uint8Array[] }>} Ask
 */

/**
 * Reset the simulator as `assigned` says. Call `act` with each observation and what the last action
 * brought, and `end` with the last one. After an UnknownEpisodeError, begin another one with the
 * same `assigned`, the present observation and no reward.
 */
export class RemoteEpisode {
  #ask;
  #trainingEnabled;
  #assigned;
  #isAsked;
  #turn = 0;

  /** A name that no other episode has. */
  episode = randomBytes(16).toString("hex");

  /**
   * @param {Ask} ask
   * @param {boolean} trainingEnabled
   * @param {Reset} assigned
   * @param {boolean} isAsked whether the simulator was reset so already
   */
  constructor(ask, trainingEnabled, assigned, isAsked) {
    this.#ask = ask;
    this.#trainingEnabled = trainingEnabled;
    this.#assigned = assigned;
    this.#isAsked = isAsked;
  }

  /**
   * What the learner had assigned when the episode was started: reset the simulator so. An episode
   * that is not asked before its first action is of no task.
   */
  get assigned() {
    this.#isAsked = true;
    return this.#assigned;
  }

  /**
   * Returns an action of the only agent.
   * @param {unknown} observation a typed array, an NdArray, a number, lists of
   *   numbers, or an object of these by name
   * @param {number} [reward] what its last action has brought
   * @throws {import("./errors.js").UnknownEpisodeError} begin another episode
   * @throws {import("./errors.js").RefusedError} the request was not served; the reason says why
   */
  async act(observation, reward) {
    const actions = await this.actAll({ [DEFAULT_AGENT]: { observation, reward } });
    const action = actions.get(DEFAULT_AGENT);
    if (action === undefined)
      throw new RemoteProtocolError("malformed", "an answer without action");
    return action;
  }

  /**
   * Returns actions by agent id; raises as `act` does.
   * @param {Record<string, AgentTurn>} turns by agent id
   * @returns {Promise<Map<string, Action>>}
   */
  async actAll(turns) {
    const { episode } = this;
    const turn = this.#turn;
    const trainingEnabled = this.#trainingEnabled;
    const isTold = turn === 0 && this.#isAsked;
    const task = isTold ? (this.#assigned.task ?? undefined) : undefined;
    const question = /** @type {const} */ ({ kind: "act", episode, turn, trainingEnabled, task });
    const { message, payloads } = await this.#ask(question, new Map(Object.entries(turns)));
    if (message.kind !== "actions") throw unexpected(message);
    this.#turn += 1;
    return decodeActions(payloads[0]);
  }

  /**
   * Ends the episode with what the only agent saw last; raises as `act` does.
   * @param {unknown} observation
   * @param {number} [reward]
   * @param {{ truncated?: boolean }} [options] whether it was cut off, and not at a terminal state
   */
  async end(observation, reward, options) {
    await this.endAll({ [DEFAULT_AGENT]: { observation, reward } }, options);
  }

  /**
   * Ends the episode for all agents; raises as `act` does.
   * @param {Record<string, AgentTurn>} turns by agent id
   * @param {{ truncated?: boolean }} [options]
   */
  async endAll(turns, { truncated = false } = {}) {
    const { episode } = this;
    if (this.#turn === 0) return; // the server has not heard of it
    const question = /** @type {const} */ ({ kind: "end", episode, turn: this.#turn, truncated });
    const { message } = await this.#ask(question, new Map(Object.entries(turns)));
    if (message.kind !== "ended") throw unexpected(message);
  }
}

/**
 * Returns what is wrong with an answer of a kind that the request does not have.
 * @param {Answer} message
 */
export function unexpected(message) {
  return new RemoteProtocolError("malformed", `'${message.kind}' is no answer to this request`);
}
