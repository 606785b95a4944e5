/** An episode in which a policy server acts. */

import { randomBytes } from "node:crypto";

import { flagOf, rewardOf } from "../recording/simulator-values.js";
import { RemoteProtocolError } from "../wire/errors.js";
import { decodeActions } from "../wire/messages/inference.js";
import { DEFAULT_AGENT } from "../wire/trajectory.js";

/** @typedef {import("../connection/assignments.js").Reset} Reset */
/** @typedef {import("../wire/messages/inference.js").Action} Action */
/** @typedef {import("../wire/messages/inference.js").AgentTurn} AgentTurn */
/** @typedef {import("../wire/messages/inference.js").Answer} Answer */
/** @typedef {import("../wire/messages/inference.js").Question} Question */

/**
 * Sends a request until it is answered.
 * @typedef {(question: Question, turns: Map<string, AgentTurn>) =>
 *   Promise<{ message: Answer, payloads: Uint8Array[] }>} Ask
 */

/**
 * Reset the simulator according to `assigned`. Call `act` with each observation and the reward
 * before it, and `end` with the last one. After an UnknownEpisodeError, begin another episode with
 * the same `assigned`, the present observation and no reward.
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
   * @param {boolean} isAsked whether the simulator was reset for `assigned` already
   */
  constructor(ask, trainingEnabled, assigned, isAsked) {
    this.#ask = ask;
    this.#trainingEnabled = trainingEnabled;
    this.#assigned = assigned;
    this.#isAsked = isAsked;
  }

  /**
   * How to reset the simulator, from the assignment at the start of the episode. Unless this is
   * read before the first action, the episode has no task.
   */
  get assigned() {
    this.#isAsked = true;
    return this.#assigned;
  }

  /**
   * Returns an action of the only agent.
   * @param {unknown} observation a typed array, an NdArray, a number, lists of
   *   numbers, or an object of these by name
   * @param {number} [reward] since its last action
   * @throws {import("../wire/errors.js").UnknownEpisodeError} begin another episode
   * @throws {import("../wire/errors.js").RefusedError} the request was not served; the reason says why
   */
  async act(observation, reward) {
    const actions = await this.actAll({ [DEFAULT_AGENT]: { observation, reward } });
    const action = actions.get(DEFAULT_AGENT);
    if (action === undefined)
      throw new RemoteProtocolError("malformed", "an answer without an action");
    return action;
  }

  /**
   * Returns actions by agent id; throws the errors of `act`.
   * @param {Record<string, AgentTurn>} turns by agent id
   * @returns {Promise<Map<string, Action>>}
   */
  async actAll(turns) {
    const { episode } = this;
    const turn = this.#turn;
    const trainingEnabled = this.#trainingEnabled;
    const namesTask = turn === 0 && this.#isAsked;
    const task = namesTask ? (this.#assigned.task ?? undefined) : undefined;
    const question = /** @type {const} */ ({ kind: "act", episode, turn, trainingEnabled, task });
    const { message, payloads } = await this.#ask(question, checked(turns));
    if (message.kind !== "actions") throw unexpected(message);
    this.#turn += 1;
    return decodeActions(payloads[0]);
  }

  /**
   * Ends the episode with the last observation of the only agent; throws the errors of `act`.
   * @param {unknown} observation
   * @param {number} [reward]
   * @param {{ truncated?: boolean }} [options] whether it was cut off before a terminal state
   */
  async end(observation, reward, options) {
    await this.endAll({ [DEFAULT_AGENT]: { observation, reward } }, options);
  }

  /**
   * Ends the episode for all agents; throws the errors of `act`.
   * @param {Record<string, AgentTurn>} turns by agent id
   * @param {{ truncated?: boolean }} [options]
   */
  async endAll(turns, { truncated = false } = {}) {
    const { episode } = this;
    if (this.#turn === 0) return; // the server does not know it
    const isTruncated = flagOf("truncated", truncated);
    const question = /** @type {const} */ ({
      kind: "end",
      episode,
      turn: this.#turn,
      truncated: isTruncated,
    });
    const { message } = await this.#ask(question, checked(turns));
    if (message.kind !== "ended") throw unexpected(message);
  }
}

/**
 * Returns the turns of agents with rewards as numbers and flags as booleans.
 * @param {Record<string, AgentTurn>} turns by agent id
 * @returns {Map<string, AgentTurn>}
 * @throws {import("../wire/errors.js").ConfigError} they are not such values
 */
function checked(turns) {
  return new Map(
    Object.entries(turns).map(([agent, { reward, terminated, truncated, ...turn }]) => [
      agent,
      {
        ...turn,
        ...(reward === undefined ? {} : { reward: rewardOf(reward) }),
        ...(terminated === undefined ? {} : { terminated: flagOf("terminated", terminated) }),
        ...(truncated === undefined ? {} : { truncated: flagOf("truncated", truncated) }),
      },
    ]),
  );
}

/**
 * Returns the error for an answer of a kind that the request does not have.
 * @param {Answer} message
 */
export function unexpected(message) {
  return new RemoteProtocolError("malformed", `'${message.kind}' is not an answer to this request`);
}
