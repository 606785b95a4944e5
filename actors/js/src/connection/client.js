/** The object through which a simulator talks to the broker. */

import { randomInt } from "node:crypto";
import { hostname } from "node:os";

import { chooseBroker, splitAddresses } from "../wire/broker-choice.js";
import { DEFAULT_ADDRESS, parseBrokerAddress } from "../wire/endpoints.js";
import { HeadraceError, LocalProtocolError } from "../wire/errors.js";
import { encodeBatch } from "../wire/trajectory.js";
import { actorIdOf } from "./actor-ids.js";
import { Change, nextTurn } from "./change.js";
import { monotonicS } from "./clock.js";
import { DEFAULT_CONFIG } from "./config.js";
import { ClientLoop } from "./loop.js";
import { ActorSession } from "./session.js";
import { ClientSockets } from "./sockets.js";

/** @typedef {import("../wire/identity.js").PolicyVersion} PolicyVersion */
/** @typedef {import("../wire/messages/parts.js").Credit} Credit */
/** @typedef {import("../wire/trajectory.js").TrajectoryBatch} TrajectoryBatch */
/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./config.js").ClientConfig} ClientConfig */
/** @typedef {import("./session.js").PolicyUpdate} PolicyUpdate */

/**
 * Permission to begin a batch.
 * @typedef {object} BatchPermit
 * @property {PolicyUpdate} update the policy to act with
 * @property {Credit} credit how long the batch may be
 */

/**
 * @typedef {object} ClientOptions
 * @property {string} [actor] the actor id; by default one that no other process has
 * @property {import("../wire/invitation.js").Invitation} [invitation] for a broker with keys
 * @property {Partial<ClientConfig>} [config]
 * @property {Clock} [clock]
 * @property {import("./loop.js").Log} [log] called with lines for the log
 * @property {typeof ClientSockets} [Sockets] the class of its sockets, for tests that watch them
 */

/**
 * Connects a simulator to a broker, which need not be there yet, and may go away and come back.
 *
 * Call `begin`, act with the policy that it returns, close the batch at `credit.fragmentSteps` env
 * steps or after `credit.fragmentS` seconds, and `push` it; `Agent` does all of this. A simulator
 * that cannot wait calls `mayBegin`, steps without recording while it is false, and reports those
 * steps with `countUnrecorded`. The client runs in the event loop of this thread: while a simulator
 * computes for seconds without awaiting anything, it is silent to the broker, and gets no credit.
 */
export class Client {
  #session;
  #loop;
  #config;
  #changed = new Change();
  /** @type {Promise<void> | null} */
  #closing = null;

  /**
   * @param {string | readonly string[]} [address] of several brokers, as a list or separated by
   *   commas, the actor id chooses one; by default the invitation's, or a broker on this machine
   * @param {ClientOptions} [options]
   * @throws {import("../wire/errors.js").ConfigError} an option cannot work
   */
  constructor(address, options = {}) {
    const { invitation, clock = monotonicS, log = console.warn, Sockets = ClientSockets } = options;
    this.#config = { ...DEFAULT_CONFIG, ...options.config };
    const actor = actorIdOf(options.actor, invitation);
    const endpoints = brokerOf(address ?? invitation?.address ?? DEFAULT_ADDRESS, actor, log);
    const identity = { actor, incarnation: randomIncarnation(), host: hostname() };
    this.#session = new ActorSession(identity, this.#config, Math.random);
    const sockets = new Sockets(endpoints, actor, invitation);
    const changed = this.#changed;
    this.#loop = new ClientLoop(this.#session, sockets, { changed, clock, log });
  }

  /** The actor id. */
  get actor() {
    return this.#session.actor;
  }

  /** The newest policy version that has arrived; cheap enough to read at every step. */
  get newestVersion() {
    return this.#session.newestVersion;
  }

  /**
   * The learner's assignment for episodes that begin now, null without one. Cheap enough to read at
   * every step. Pass its task to `push` with the batches of these episodes.
   */
  get assignment() {
    return this.#session.assignment;
  }

  /** Whether `close` was called. */
  get isClosed() {
    return this.#closing !== null;
  }

  /** How many batches the broker does not have yet. */
  get unaccepted() {
    return this.#session.unaccepted;
  }

  /** How many batches' end the broker has not reported yet; they are lost if this process dies. */
  get unacknowledged() {
    return this.#session.sender.held;
  }

  /** How the acknowledged batches ended. */
  get totals() {
    return this.#session.sender.totals;
  }

  /**
   * Waits for permission to begin a batch; returns null if time is up or the client is closed.
   * @param {number} [timeoutS]
   * @returns {Promise<BatchPermit | null>}
   * @throws {import("../wire/errors.js").RefusedError} the broker will not serve this actor
   */
  async begin(timeoutS) {
    await nextTurn();
    if (!(await this.#wait(() => this.#session.mayBegin(), timeoutS))) return null;
    const { credit } = this.#session;
    const update = this.#session.policyUpdate();
    return credit === null || update === null ? null : { update, credit };
  }

  /**
   * Returns the newest policy once there is one other than `version`; null if time is up.
   * @param {PolicyVersion | null} [version]
   * @param {number} [timeoutS]
   * @returns {Promise<PolicyUpdate | null>}
   * @throws {import("../wire/errors.js").RefusedError} the broker will not serve this actor
   */
  async policyUpdate(version = null, timeoutS) {
    const isNewer = () => this.newestVersion !== null && !this.newestVersion.equals(version);
    return (await this.#wait(isNewer, timeoutS)) ? this.#session.policyUpdate() : null;
  }

  /**
   * Returns whether a batch may be begun now, with the newest weights.
   * @throws {import("../wire/errors.js").RefusedError} the broker will not serve this actor
   */
  mayBegin() {
    this.#throwRefusal();
    return this.#session.mayBegin();
  }

  /**
   * Returns whether a batch of that version would be stale on arrival.
   * @param {PolicyVersion} version
   */
  isOutdated(version) {
    return this.#session.isOutdated(version);
  }

  /**
   * Takes a finished batch for delivery, and returns its sequence number. It is kept until its end
   * is reported; the arrays may be reused at once.
   * @param {TrajectoryBatch} batch
   * @param {PolicyUpdate} update the one policy that acted
   * @param {number} envSteps in the batch; with one agent the sum of the chunks' lengths
   * @param {{ task?: string | null }} [options] the task of the assignment under which all of its
   *   episodes began, if there was one
   * @throws {LocalProtocolError} it cannot be encoded or was begun without credit, or the client is
   *   closed
   * @throws {import("../wire/errors.js").RefusedError} the broker will not serve this actor
   */
  push(batch, update, envSteps, { task } = {}) {
    this.#throwRefusal();
    if (this.isClosed) throw new LocalProtocolError("the client is closed");
    const payload = encodeBatch(batch);
    const { maxPayloadBytes } = this.#config.limits;
    if (payload.length > maxPayloadBytes) {
      throw new LocalProtocolError(
        `a batch of ${payload.length} bytes; the limit is ${maxPayloadBytes}: record fewer steps`,
      );
    }
    const { version, policy } = update;
    const { run } = policy.manifest;
    const seq = this.#session.push({ version, run, envSteps, payload, task });
    this.#loop.sendDue();
    return seq;
  }

  /**
   * Counts env steps that were taken without credit and were not recorded.
   * @param {number} envSteps
   */
  countUnrecorded(envSteps) {
    this.#session.unrecordedEnvSteps += envSteps;
  }

  /**
   * Counts an episode that a simulator lost, and its env steps that were not delivered.
   * @param {number} envSteps
   */
  countBroken(envSteps) {
    this.#session.brokenEpisodes += 1;
    this.countUnrecorded(envSteps);
  }

  /**
   * Delivers finished batches, for at most `flushS` seconds, says goodbye and disconnects. No batch
   * can be begun or pushed from now on.
   */
  close() {
    if (this.#closing === null) {
      this.#closing = this.#flushAndLeave();
      this.#changed.notify();
    }
    return this.#closing;
  }

  async #flushAndLeave() {
    const { flushS } = this.#config;
    await this.#changed.until(() => this.unaccepted === 0 || this.#hasFailed, flushS);
    this.#loop.stop();
  }

  /**
   * @param {() => boolean} condition
   * @param {number} [timeoutS]
   */
  async #wait(condition, timeoutS) {
    const isOver = () => condition() || this.#hasFailed || this.isClosed;
    await this.#changed.until(isOver, timeoutS);
    this.#throwRefusal();
    return condition();
  }

  get #hasFailed() {
    return this.#session.refusal !== null || this.#loop.failure !== null;
  }

  #throwRefusal() {
    if (this.#session.refusal !== null) throw this.#session.refusal;
    if (this.#loop.failure !== null) {
      throw new HeadraceError("the client's loop ended", { cause: this.#loop.failure });
    }
  }
}

/** Returns a number from 1 to 2^53 - 1; `randomInt` returns at most 48 bits at a time. */
function randomIncarnation() {
  return randomInt(2 ** 21) * 2 ** 32 + randomInt(1, 2 ** 32);
}

/**
 * Returns the broker that an actor uses: of several, the one that its id chooses.
 * @param {string | readonly string[]} address
 * @param {string} actor
 * @param {import("./loop.js").Log} log
 */
function brokerOf(address, actor, log) {
  const addresses = splitAddresses(address);
  addresses.forEach(parseBrokerAddress);
  const chosen = chooseBroker(addresses, actor);
  if (addresses.length > 1) {
    log(`actor ${actor} uses the broker at ${chosen}, of ${addresses.length}`);
  }
  return parseBrokerAddress(chosen);
}
