/** Serves a session on its sockets: receives, sends what is due, wakes waiting calls. */

import { RemoteProtocolError } from "../wire/errors.js";

/** @typedef {import("./change.js").Change} Change */
/** @typedef {import("./clock.js").Clock} Clock */
/** @typedef {import("./session.js").ActorSession} ActorSession */
/** @typedef {import("./sockets.js").ClientSockets} ClientSockets */
/** @typedef {(line: string) => void} Log */

const LONGEST_WAIT_MS = 1000;
const BLOCKED_WAIT_MS = 20;

/**
 * Begins with its first turn, and ends with `stop`, which leaves no timer and no socket.
 *
 * A turn follows each message and each lost connection, and comes whenever something is due.
 */
export class ClientLoop {
  #session;
  #sockets;
  #changed;
  #clock;
  #log;
  #isStopping = false;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  /** @type {unknown} the error that ended the loop, null if there was none */
  failure = null;

  /**
   * @param {ActorSession} session
   * @param {ClientSockets} sockets
   * @param {{ changed: Change, clock: Clock, log: Log }} surroundings `changed` is notified
   *   whenever the session may have changed
   */
  constructor(session, sockets, { changed, clock, log }) {
    this.#session = session;
    this.#sockets = sockets;
    this.#changed = changed;
    this.#clock = clock;
    this.#log = log;
    sockets.onDisconnect(() => this.#onDisconnect());
    this.#serve(sockets.controlMessages(), (frames) => session.onControl(frames, clock()));
    this.#serve(sockets.weightsMessages(), (frames) => session.onWeights(frames));
    this.#turn();
  }

  /** Sends what is due now, instead of at the next turn. */
  sendDue() {
    if (this.#isStopping) return;
    const isBlocked = !this.#send();
    this.#wakeIn(isBlocked ? BLOCKED_WAIT_MS : this.#idleMs());
  }

  /** Says goodbye and disconnects. */
  stop() {
    if (this.#isStopping) return;
    this.#isStopping = true;
    clearTimeout(this.#timer);
    this.#sockets.trySend(this.#session.goodbye());
    this.#sockets.close();
  }

  /**
   * Takes messages until the sockets are closed.
   * @param {AsyncIterable<Uint8Array[]>} messages
   * @param {(frames: Uint8Array[]) => void} take
   */
  async #serve(messages, take) {
    try {
      for await (const frames of messages) {
        if (this.#isStopping) return;
        this.#takeOrDrop(frames, take);
        this.#turn();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * @param {Uint8Array[]} frames
   * @param {(frames: Uint8Array[]) => void} take
   */
  #takeOrDrop(frames, take) {
    try {
      take(frames);
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#log(`dropped a message: ${error.message}`);
    }
  }

  #turn() {
    if (this.#isStopping) return;
    try {
      this.#afterReceiving();
      this.#reconnectIfSilent();
      this.sendDue();
    } catch (error) {
      this.#fail(error);
    }
    this.#changed.notify();
  }

  #afterReceiving() {
    const { run, rejects } = this.#session;
    if (run !== null) this.#sockets.subscribeWeights(run);
    for (const { seq, code, reason } of rejects.splice(0)) {
      const what = seq === null ? "a message" : `batch ${seq}`;
      this.#log(`${what} was rejected (${code}): ${reason}`);
    }
  }

  #reconnectIfSilent() {
    const nowS = this.#clock();
    for (const endpoint of this.#session.takeSilentEndpoints(nowS)) {
      this.#log(`reconnects to ${endpoint}: it has been silent`);
      this.#sockets.reconnect(endpoint);
      if (endpoint === "ingest") this.#session.onDisconnect(nowS);
    }
  }

  #onDisconnect() {
    if (this.#isStopping) return;
    this.#session.onDisconnect(this.#clock());
    this.#turn();
  }

  /** Sends what is due; returns false if the broker accepts no more for now. */
  #send() {
    const nowS = this.#clock();
    const presence = this.#session.nextPresence(nowS);
    if (presence !== null && !this.#sockets.trySend(presence)) return false;
    let batch = this.#session.nextBatch(nowS);
    while (batch !== null) {
      if (!this.#sockets.trySend(batch.frames)) return false;
      this.#session.markSent(batch.seq, nowS);
      batch = this.#session.nextBatch(nowS);
    }
    return true;
  }

  #idleMs() {
    const waitMs = 1000 * (this.#session.nextEventAtS - this.#clock()) + 1;
    return Math.max(0, Math.min(LONGEST_WAIT_MS, waitMs));
  }

  /** @param {number} waitMs */
  #wakeIn(waitMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#turn(), waitMs);
  }

  /** @param {unknown} error */
  #fail(error) {
    if (this.#isStopping) return;
    this.failure = error;
    this.stop();
    this.#changed.notify();
  }
}
