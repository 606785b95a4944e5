/** Actions from a policy server, for simulators beside which no policy can run; SPEC.md, section 11. */

import { Dealer } from "zeromq";

import { Adoption } from "./assigned.js";
import { monotonicS } from "./clock.js";
import { connectionOptions } from "./connections.js";
import {
  ConfigError,
  LocalProtocolError,
  RefusedError,
  RemoteProtocolError,
  UnknownEpisodeError,
} from "./errors.js";
import { answerDecoder, encodeHeader } from "./headers.js";
import { encodeTurns } from "./inference-messages.js";
import { RemoteEpisode, unexpected } from "./remote-episode.js";
import { SilenceWatch } from "./silence-watch.js";

/** @typedef {import("./assigned.js").Reset} Reset */
/** @typedef {import("./inference-messages.js").AgentTurn} AgentTurn */
/** @typedef {import("./inference-messages.js").Answer} Answer */
/** @typedef {import("./inference-messages.js").Question} Question */
/** @typedef {import("./messages.js").Assignment} Assignment */

const LONGEST_TIMER_MS = 2 ** 31 - 1;
export const DEFAULT_POLICY_SERVER = "tcp://127.0.0.1:5570";

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
 * One socket to one endpoint, at which any policy server may answer. A request without an answer is
 * repeated as it was, which changes nothing at the server.
 */
export class RemotePolicy {
  #endpoint;
  #socket;
  #decoder = answerDecoder();
  /** @type {Map<string, Pending>} by episode and turn */
  #pending = new Map();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  #silence = new SilenceWatch(monotonicS(), RECONNECT_S);
  #isUnanswered = false;
  #isClosed = false;
  #isDescribed = false;
  /** @type {Assignment | null} as the server told last */
  #assignment = null;
  #adoption = new Adoption();

  /**
   * @param {string} [endpoint] by default the invitation's, or a server on this machine
   * @param {{ invitation?: import("./invitation.js").Invitation }} [options]
   * @throws {ConfigError} that is no endpoint
   */
  constructor(endpoint, { invitation } = {}) {
    this.#endpoint = endpoint ?? invitation?.address ?? DEFAULT_POLICY_SERVER;
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
   * Begins an episode; the server hears of it with its first action. Its `assigned` says how to
   * reset the simulator; before the first episode, `waitForPolicy` lets the learner be heard.
   * @param {object} [options]
   * @param {boolean} [options.trainingEnabled] whether the learner may have what comes of it
   * @param {Reset} [options.assigned] what a simulator is of that goes on without a reset
   */
  startEpisode({ trainingEnabled = true, assigned } = {}) {
    const ask = this.#ask.bind(this);
    const reset = assigned ?? this.#adoption.adopt(this.#assignment);
    return new RemoteEpisode(ask, trainingEnabled, reset, assigned !== undefined);
  }

  /**
   * Waits until there is a policy to act with; returns false if there is none in time. Not needed:
   * an episode's `act` waits by itself, for as long as it takes.
   * @param {number} [timeoutS] without it, waits for ever
   * @throws {LocalProtocolError} the policy was closed meanwhile, or is asked for elsewhere
   * @throws {RefusedError} the request was not served; the reason says why
   */
  async waitForPolicy(timeoutS = Infinity) {
    if (this.#isDescribed) return true;
    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    const timeIsUp = new Promise((resolve) => {
      if (timeoutS !== Infinity) timer = setTimeout(resolve, Math.min(1000 * timeoutS, LONGEST_TIMER_MS));
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
   * Tells what is served; waits until the learner has published.
   * @throws {LocalProtocolError} the policy was closed meanwhile
   */
  async describe() {
    const { message } = await this.#ask({ kind: "describe" });
    if (message.kind !== "description") throw unexpected(message);
    const { run, version, multiAgent, infos = [], assignment = null } = message;
    return { run, version, multiAgent, infos, assignment };
  }

  /** Disconnects; what still waits for an answer is told so. */
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
    // Several short waits that were given up are one silence.
    if (!this.#isUnanswered) this.#silence.hear(monotonicS());
    this.#isUnanswered = true;
    this.#reconnectIfSilent();
    this.#timer = setInterval(() => this.#repeat(), RESEND_MS);
  }

  /** Asks again what was not answered. */
  #repeat() {
    this.#reconnectIfSilent();
    for (const { frames } of this.#pending.values()) this.#send(frames);
  }

  /**
   * Makes another connection: libzmq gives up on one that was refused once, and who was invited a
   * moment ago may be known by now.
   */
  #reconnectIfSilent() {
    if (!this.#silence.isOverdue(monotonicS())) return;
    this.#socket.disconnect(this.#endpoint);
    this.#socket.connect(this.#endpoint);
  }

  /** @param {Uint8Array[]} frames */
  #send(frames) {
    // Where nobody is there, they go out with the next repetition.
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
    this.#isUnanswered = false;
    this.#silence.hear(monotonicS());
    try {
      const { message, payloads } = this.#decoder.decode(frames);
      const key = keyOf(message);
      if (key === null) this.#rejectAll(refusalOf(message));
      else this.#settle(key, message, payloads);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#rejectAll(error);
    }
  }

  /**
   * @param {string} key
   * @param {Answer} message
   * @param {Uint8Array[]} payloads
   */
  #settle(key, message, payloads) {
    const pending = this.#pending.get(key);
    if (pending === undefined) return; // it answers what was asked twice
    this.#forget(key);
    this.#hear(message);
    if (message.kind === "denial") pending.reject(refusalOf(message));
    else pending.resolve({ message, payloads });
  }

  /**
   * Notes what answers tell beside what was asked.
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
 * What names a request and its answer; null where a denial names none.
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
