/**
 * An actor's side of the conversation with a broker, as a pure state machine; SPEC.md, section 5.
 *
 * Pass it the messages of the two SUB sockets, and send what `nextPresence` and `nextBatch` return.
 */

import { LocalProtocolError, RefusedError, RemoteProtocolError } from "../wire/errors.js";
import { decodePolicy, policyDigest } from "../wire/manifest.js";
import { WIRE_VERSION } from "../wire/messages/base.js";
import { controlDecoder, encodeHeader, weightsDecoder } from "../wire/messages/headers.js";
import { Sender } from "../wire/sender.js";
import { decodeWeights } from "../wire/weights.js";
import { EndpointWatch } from "./endpoint-watch.js";
import { PresenceSchedule } from "./presence-schedule.js";

/** @typedef {import("../wire/identity.js").PolicyVersion} PolicyVersion */
/** @typedef {import("../wire/manifest.js").Policy} Policy */
/** @typedef {import("../wire/messages/actor.js").Beacon} Beacon */
/** @typedef {import("../wire/messages/actor.js").Delivery} Delivery */
/** @typedef {import("../wire/messages/actor.js").Reject} Reject */
/** @typedef {import("../wire/messages/actor.js").Snapshot} Snapshot */
/** @typedef {import("../wire/messages/actor.js").Weights} Weights */
/** @typedef {import("../wire/messages/parts.js").Assignment} Assignment */
/** @typedef {import("../wire/weights.js").ModuleWeights} ModuleWeights */
/** @typedef {import("./config.js").ClientConfig} ClientConfig */

/**
 * The newest policy that an actor may act with.
 * @typedef {object} PolicyUpdate
 * @property {PolicyVersion} version
 * @property {string} digest equal while only weights change, so that a graph need not be loaded again
 * @property {Policy} policy
 * @property {ModuleWeights} weights tensors by module id and name
 */

/**
 * A finished batch, encoded once for all transmissions.
 * @typedef {object} PushedBatch
 * @property {PolicyVersion} version
 * @property {string} run
 * @property {number} envSteps
 * @property {Uint8Array} payload
 * @property {string | null} [task] of the assignment under which it was recorded
 */

/**
 * @typedef {object} Received
 * @property {PolicyVersion} version
 * @property {string} digest
 * @property {Policy} policy
 * @property {Uint8Array} weightsFrame
 */

const FATAL_CODES = new Set(["superseded", "unsupported_version"]);

/** Delivery, presence and policy of one incarnation of an actor. */
export class ActorSession {
  #host;
  #config;
  #decodeControl;
  #decodeWeights;
  #watch = new EndpointWatch();
  /** @type {number | null} */
  #brokerHeard = null;
  // A batch may be begun under one broker's credit and finished under another's.
  #permittedUpTo = 0;
  #presence;
  /** @type {Received | null} */
  #received = null;
  /** @type {PolicyUpdate | null} */
  #update = null;

  /** @type {Reject[]} those that have arrived; the reader removes them */
  rejects = [];
  /** @type {RefusedError | null} the reason why this process has to stop */
  refusal = null;
  /** @type {Assignment | null} the one in force now */
  assignment = null;
  envSteps = 0;
  unrecordedEnvSteps = 0;
  brokenEpisodes = 0;

  /**
   * @param {object} identity
   * @param {string} identity.actor
   * @param {number} identity.incarnation
   * @param {string} identity.host
   * @param {ClientConfig} config
   * @param {() => number} random uniform in [0, 1)
   */
  constructor({ actor, incarnation, host }, config, random) {
    this.actor = actor;
    this.incarnation = incarnation;
    this.#host = host;
    this.#config = config;
    this.#presence = new PresenceSchedule(config.presenceS);
    this.#decodeControl = controlDecoder(config.limits);
    this.#decodeWeights = weightsDecoder(config.limits);
    /** @type {Sender<PushedBatch>} the delivery state, for inspection */
    this.sender = new Sender(random, config.resend);
  }

  // ---------------------------------------------------------------- incoming

  /**
   * Takes a message of the control endpoint, without its topic.
   * @param {Uint8Array[]} frames
   * @param {number} nowS
   * @throws {RemoteProtocolError} the message is not legal; drop it and continue
   */
  onControl(frames, nowS) {
    const { message } = this.#decodeControl.decode(frames);
    this.#watch.hear("control", nowS);
    if (message.kind === "beacon") this.#onBeacon(message, nowS);
    else if (message.incarnation !== this.incarnation)
      return; // for an earlier process
    else if (message.kind === "delivery") this.#onDelivery(message, nowS);
    else this.#onReject(message);
  }

  /**
   * Takes a message of the weights endpoint, without its topic; an older version is dropped.
   * @param {Uint8Array[]} frames
   * @throws {RemoteProtocolError} the message is not legal; drop it and continue
   */
  onWeights(frames) {
    const { message, payloads } = this.#decodeWeights.decode(frames);
    if (message.kind === "snapshot") this.#takeSnapshot(message, payloads[0], payloads[1]);
    else if (this.#received !== null && message.policyDigest === this.#received.digest) {
      this.#takeWeights(this.#received.policy, message, payloads[0]);
    }
  }

  /**
   * Notes that the connection to ingest was lost: asks for the delivery state before sending more.
   * @param {number} nowS
   */
  onDisconnect(nowS) {
    this.sender.loseConnection();
    this.#presence.hasten(nowS);
  }

  /**
   * Returns, once, the endpoints that look connected and are not: reconnect them.
   * @param {number} nowS
   */
  takeSilentEndpoints(nowS) {
    return this.#watch.takeOverdue(nowS);
  }

  // ---------------------------------------------------------------- for the simulator

  /** The run of the newest policy. */
  get run() {
    return this.#received === null ? null : this.#received.policy.manifest.run;
  }

  /** The newest policy version that has arrived. */
  get newestVersion() {
    return this.#received === null ? null : this.#received.version;
  }

  /** The newest grant of the present broker. */
  get credit() {
    return this.sender.credit;
  }

  /** How many batches the broker does not have yet. */
  get unaccepted() {
    return this.sender.lastSeq - this.sender.accepted;
  }

  /** Returns whether a batch may be begun with the newest weights. */
  mayBegin() {
    return this.newestVersion !== null && this.sender.mayBegin(this.newestVersion);
  }

  /**
   * Returns whether a batch of that version would be stale on arrival.
   * @param {PolicyVersion} version
   */
  isOutdated(version) {
    return this.credit !== null && version.compare(this.credit.minVersion) < 0;
  }

  /**
   * Returns the newest policy, decoded once, or null before the first snapshot.
   * @throws {RemoteProtocolError} the weights cannot be decoded
   */
  policyUpdate() {
    if (this.#update === null && this.#received !== null) {
      const { version, digest, policy, weightsFrame } = this.#received;
      const weights = decodeWeights(weightsFrame, this.#config.limits);
      this.#update = { version, digest, policy, weights };
    }
    return this.#update;
  }

  /**
   * Takes a finished batch, and returns its sequence number.
   * @param {PushedBatch} batch
   * @throws {LocalProtocolError} it was begun without credit; call `mayBegin` first
   */
  push(batch) {
    if (this.sender.lastSeq >= this.#permittedUpTo) {
      throw new LocalProtocolError("a batch was pushed that was begun without credit");
    }
    this.envSteps += batch.envSteps;
    return this.sender.enter(batch);
  }

  // ---------------------------------------------------------------- outgoing

  /**
   * Returns a hello, or an alive once the present broker has answered one, when it is due.
   * @param {number} nowS
   */
  nextPresence(nowS) {
    if (nowS < this.#presence.dueS) return null;
    const { sender } = this;
    const isHello = sender.broker === null || sender.broker !== this.#brokerHeard;
    this.#presence.noteSent(nowS, isHello);
    const presence = {
      actor: this.actor,
      incarnation: this.incarnation,
      version: this.newestVersion,
      policyDigest: this.#received === null ? null : this.#received.digest,
      lastSeq: sender.lastSeq,
      acknowledged: sender.acknowledged,
      totals: sender.totals,
      envSteps: this.envSteps,
      unrecordedEnvSteps: this.unrecordedEnvSteps,
      evaluates: false,
      brokenEpisodes: this.brokenEpisodes || undefined,
    };
    if (!isHello) return [encodeHeader({ kind: "alive", ...presence })];
    const versions = { wireMin: WIRE_VERSION, wireMax: WIRE_VERSION };
    const { client } = this.#config;
    return [encodeHeader({ kind: "hello", ...presence, ...versions, client, host: this.#host })];
  }

  /**
   * Returns the next batch to transmit; then call `markSent`.
   * @param {number} nowS
   */
  nextBatch(nowS) {
    const due = this.sender.nextDue(nowS);
    if (due === null) return null;
    const { seq, item, sentBefore } = due;
    const header = encodeHeader({
      kind: "trajectories",
      actor: this.actor,
      incarnation: this.incarnation,
      seq,
      run: item.run,
      version: item.version,
      envSteps: item.envSteps,
      purpose: "train",
      task: item.task ?? null,
      sentBefore,
      compression: undefined,
      more: undefined,
    });
    return { seq, frames: [header, item.payload] };
  }

  /**
   * Notes that the batch from `nextBatch` was sent.
   * @param {number} seq
   * @param {number} nowS
   */
  markSent(seq, nowS) {
    this.sender.markSent(seq, nowS);
  }

  /** Returns the message that ends this incarnation. */
  goodbye() {
    const { actor, incarnation } = this;
    return [encodeHeader({ kind: "goodbye", actor, incarnation, lastSeq: this.sender.lastSeq })];
  }

  /** When something becomes due without a message. */
  get nextEventAtS() {
    return Math.min(this.#presence.dueS, this.sender.nextEventAtS);
  }

  // ---------------------------------------------------------------- messages by kind

  /**
   * @param {Delivery} delivery
   * @param {number} nowS
   */
  #onDelivery(delivery, nowS) {
    this.#watch.hear("ingest", this.#presence.silentSince(nowS));
    this.#brokerHeard = delivery.broker;
    this.sender.receive(delivery, nowS);
    if (delivery.credit !== null || delivery.assignment !== undefined) {
      // A broker that has just started grants no credit, and does not know the assignment yet.
      this.assignment = delivery.assignment ?? null;
    }
    const upTo = delivery.credit === null ? 0 : delivery.credit.upTo;
    this.#permittedUpTo = Math.max(this.#permittedUpTo, upTo);
  }

  /** @param {Reject} reject */
  #onReject(reject) {
    this.rejects.push(reject);
    if (reject.seq === null && FATAL_CODES.has(reject.code)) {
      this.refusal = new RefusedError(reject.code, reject.reason);
    }
  }

  /**
   * @param {Beacon} beacon
   * @param {number} nowS
   */
  #onBeacon(beacon, nowS) {
    this.#presence.follow(beacon.presenceS ?? 1);
    if (beacon.version === null || beacon.version.equals(this.newestVersion)) {
      this.#watch.hear("weights", nowS);
    }
    if (beacon.broker !== this.#brokerHeard) {
      this.#brokerHeard = beacon.broker;
      this.#presence.hasten(nowS);
    }
  }

  /**
   * @param {Snapshot} message
   * @param {Uint8Array} policyFrame
   * @param {Uint8Array} weightsFrame
   */
  #takeSnapshot(message, policyFrame, weightsFrame) {
    if (this.#received !== null && message.policyDigest === this.#received.digest) {
      this.#takeWeights(this.#received.policy, message, weightsFrame);
    } else if (policyDigest(policyFrame) === message.policyDigest) {
      this.#takeWeights(decodePolicy(policyFrame), message, weightsFrame);
    } else {
      const reason = "a policy frame that differs from its digest";
      throw new RemoteProtocolError("invalid_policy", reason);
    }
  }

  /**
   * Keeps weights undecoded, unless they are older than those of the same run.
   * @param {Policy} policy
   * @param {Snapshot | Weights} message
   * @param {Uint8Array} weightsFrame
   */
  #takeWeights(policy, message, weightsFrame) {
    const old = this.#received;
    const { version, policyDigest: digest } = message;
    if (old !== null && this.run === message.run && version.compare(old.version) <= 0) return;
    this.#received = { version, digest, policy, weightsFrame };
    this.#update = null;
  }
}
