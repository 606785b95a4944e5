/**
 * Actions from a policy server, for simulators that cannot run a policy themselves; SPEC.md,
 * section 11.
 */

import { Dealer } from "zeromq";

import { Adoption } from "../connection/assignments.js";
import { monotonicS } from "../connection/clock.js";
import { connectionOptions } from "../connection/zmq.js";
import {
  ConfigError,
  LocalProtocolError,
  RefusedError,
  RemoteProtocolError,
  UnknownEpisodeError,
} from "../wire/errors.js";
import { answerDecoder, encodeHeader } from "../wire/messages/headers.js";
import { DEFAULT_INFERENCE, encodeTurns } from "../wire/messages/inference.js";
import { SilenceWatch } from "../wire/silence.js";
import { RemoteEpisode, unexpected } from "./remote-episode.js";

/** @typedef {import("../connection/assignments.js").Reset} Reset */
/** @typedef {import("../wire/messages/inference.js").AgentTurn} AgentTurn */
/** @typedef {import("../wire/messages/inference.js").Answer} Answer */
/** @typedef {import("../wire/messages/inference.js").Question} Question */
/** @typedef {import("../wire/messages/parts.js").Assignment} Assignment */

const LONGEST_TIMER_MS = 2 ** 31 - 1;

const RESEND_MS = 2000;
const RECONNECT_S = { firstS: 2, longestS: 30 };
const DESCRIPTION_KEY = "description";

/**
 * A request that waits for its answer.
 * @typedef {object} Pending
 * @property {Uint8Array[]} frames
 * @property {(answered: { message: Answer, payloads: Uint8Array[] }) => void} resolve
 * @property {(error: Error) => void} reject
 */

/**
 * One socket to one endpoint, where any policy server may answer. An unanswered request is repeated
 * unchanged, which changes nothing at the server.
 */
export class RemotePolicy {
  #endpoint;
  #socket;
  #decoder = answerDecoder();
  /** @type {Map<string, Pending>} by episode and turn */
  #pending = new Map();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** @type {SilenceWatch | null} null while all is answered */
  #silence = null;
  #isClosed = false;
  #isDescribed = false;
  /** @type {Assignment | null} the server's newest one */
  #assignment = null;
  #adoption = new Adoption();

  /**
   * @param {string} [endpoint] by default the invitation's, or a server on this machine
   * @param {{ invitation?: import("../wire/invitation.js").Invitation }} [options]
   * @throws {ConfigError} the endpoint is malformed
   */
  constructor(endpoint, { invitation } = {}) {
    this.#endpoint = endpoint ?? invitation?.address ?? DEFAULT_INFERENCE;
    this.#socket = new Dealer({ ...connectionOptions(this.#endpoint, invitation), sendTimeout: 0 });
    try {
      this.#socket.connect(this.#endpoint);
    } catch (error) {
      this.#socket.close();
      throw new ConfigError(`cannot connect to '${this.#endpoint}'`, { cause: error });
    }
    this.#receive();
  }

  /**
   * Begins an episode; the server hears of it with the first request for an action. Its `assigned`
   * says how to reset the simulator; before the first episode, `waitForPolicy` fetches that.
   * @param {object} [options]
   * @param {boolean} [options.trainingEnabled] whether the learner may train on it
   * @param {Reset} [options.assigned] the old episode's, if the simulator continues without a reset
   */
  startEpisode({ trainingEnabled = true, assigned } = {}) {
    const ask = this.#ask.bind(this);
    const reset = assigned ?? this.#adoption.adopt(this.#assignment);
    return new RemoteEpisode(ask, trainingEnabled, reset, assigned !== undefined);
  }

  /**
   * Waits for a policy to act with; returns false if time is up. Optional: an episode's `act` waits
   * by itself, for as long as it takes.
   * @param {number} [timeoutS] without it, waits for ever
   * @throws {LocalProtocolError} the policy was closed meanwhile, or another call waits already
   * @throws {RefusedError} the request was not served; the reason says why
   */
  async waitForPolicy(timeoutS = Infinity) {
    if (this.#isDescribed) return true;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const timeIsUp = new Promise((resolve) => {
      if (timeoutS === Infinity) return;
      timer = setTimeout(resolve, Math.min(1000 * timeoutS, LONGEST_TIMER_MS));
    });
    try {
      await Promise.race([this.describe(), timeIsUp]);
      if (!this.#isDescribed) this.#forget(DESCRIPTION_KEY);
      return this.#isDescribed;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Returns the server's description; waits until the learner has published.
   * @throws {LocalProtocolError} the policy was closed meanwhile
   */
  async describe() {
    const { message } = await this.#ask({ kind: "describe" });
    if (message.kind !== "description") throw unexpected(message);
    const { run, version, multiAgent, infos = [], assignment = null } = message;
    return { run, version, multiAgent, infos, assignment };
  }

  /** Disconnects; calls that still wait for an answer throw. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#socket.close();
    this.#rejectAll(closed());
  }

  /**
   * @param {Question} question
   * @param {Map<string, AgentTurn>} [turns]
   * @returns {Promise<{ message: Answer, payloads: Uint8Array[] }>}
   */
  #ask(question, turns) {
    if (this.#isClosed) return Promise.reject(closed());
    const header = encodeHeader(question);
    const frames = turns === undefined ? [header] : [header, encodeTurns(turns)];
    const key = keyOf(question);
    if (this.#pending.has(key)) {
      return Promise.reject(new LocalProtocolError("await an answer before you ask again"));
    }
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#beginWaiting();
      this.#pending.set(key, { frames, resolve, reject });
      this.#send(frames);
    });
  }

  #beginWaiting() {
    this.#reconnectIfSilent();
    this.#timer = setInterval(() => this.#repeat(), RESEND_MS);
  }

  /** Repeats all unanswered requests. */
  #repeat() {
    this.#reconnectIfSilent();
    for (const { frames } of this.#pending.values()) this.#send(frames);
  }

  /**
   * Makes another connection after a silence: libzmq does not retry one whose handshake was refused,
   * and this peer may have been invited since. Short waits in a row, all given up, are one silence.
   */
  #reconnectIfSilent() {
    const nowS = monotonicS();
    this.#silence ??= new SilenceWatch(nowS, RECONNECT_S);
    if (!this.#silence.restartIfOverdue(nowS)) return;
    this.#socket.disconnect(this.#endpoint);
    this.#socket.connect(this.#endpoint);
  }

  /** @param {Uint8Array[]} frames */
  #send(frames) {
    // If there is no connection, the next repetition sends them.
    if (this.#socket.writable) this.#socket.send(frames).catch(() => {});
  }

  async #receive() {
    try {
      for await (const frames of this.#socket) this.#onAnswer(frames);
    } catch (error) {
      this.#rejectAll(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** @param {Uint8Array[]} frames */
  #onAnswer(frames) {
    this.#silence?.hear(monotonicS());
    try {
      const { message, payloads } = this.#decoder.decode(frames);
      const key = keyOf(message);
      if (key === null) this.#rejectAll(refusalOf(message));
      else this.#settle(key, message, payloads);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#rejectAll(error);
    }
    if (this.#pending.size === 0) this.#silence = null;
  }

  /**
   * @param {string} key
   * @param {Answer} message
   * @param {Uint8Array[]} payloads
   */
  #settle(key, message, payloads) {
    const pending = this.#pending.get(key);
    if (pending === undefined) return; // a second answer to a repeated request
    this.#forget(key);
    this.#hear(message);
    if (message.kind === "denial") pending.reject(refusalOf(message));
    else pending.resolve({ message, payloads });
  }

  /**
   * Notes the further content of an answer: the assignment, and whether there is a policy.
   * @param {Answer} message
   */
  #hear(message) {
    if (message.kind === "description") this.#isDescribed = true;
    if (message.kind === "description" || message.kind === "ended") {
      this.#assignment = message.assignment ?? null;
    }
  }

  /** @param {Error} error */
  #rejectAll(error) {
    for (const [key, { reject }] of [...this.#pending]) {
      this.#forget(key);
      reject(error);
    }
  }

  /** @param {string} key */
  #forget(key) {
    this.#pending.delete(key);
    if (this.#pending.size === 0) clearInterval(this.#timer);
  }
}

/**
 * Returns the key of a request and of its answer; null for a denial of no request in particular.
 * @template {Question | Answer} M
 * @param {M} message
 * @returns {M extends Question ? string : string | null}
 */
function keyOf(message) {
  /** @type {any} */
  let key = DESCRIPTION_KEY;
  if ("episode" in message) {
    key =
      message.episode === null || message.turn === null
        ? null
        : `${message.episode} ${message.turn}`;
  }
  return key;
}

/** @param {Answer} message */
function refusalOf(message) {
  if (message.kind !== "denial") return unexpected(message);
  const { code, reason } = message;
  return code === "unknown_episode"
    ? new UnknownEpisodeError(reason)
    : new RefusedError(code, reason);
}

function closed() {
  return new LocalProtocolError("the policy is closed");
}
