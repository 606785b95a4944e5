/**
 * The actor's end of delivery, as a pure state machine; SPEC.md, section 5.
 *
 * Theory of operation. Batches are numbered from 1, and each is kept until it is acknowledged.
 * Three cumulative numbers come back together in a delivery, of which any copy may be lost,
 * repeated or late:
 *
 * - accepted a: everything up to a arrived. It stops retransmission and nothing else.
 * - acknowledged m <= a: everything up to m ended, as its totals say. It frees memory.
 * - credit: permission to begin batches up to a number. It belongs to one broker incarnation and is
 *   dropped when another one speaks.
 *
 * Each batch is transmitted once, and again only above a: after a timeout with jitter, at a `gap`,
 * when a new broker incarnation reports a lower a, or after a lost connection. In the last case the
 * Sender waits for the next delivery first, because the broker may be another one. It reads no
 * clock: `nowS` is any monotonic time in seconds.
 */

import { RemoteProtocolError } from "./errors.js";
import { noTotals } from "./messages/parts.js";

/** @typedef {import("./identity.js").PolicyVersion} PolicyVersion */
/** @typedef {import("./messages/actor.js").Delivery} Delivery */
/** @typedef {import("./messages/parts.js").Credit} Credit */
/** @typedef {import("./messages/parts.js").Totals} Totals */

/**
 * When batches that were not accepted are repeated.
 * @typedef {object} ResendPolicy
 * @property {number} firstS wait before the first repetition; it doubles with each further one,
 * @property {number} longestS up to this
 * @property {number} jitter each wait is longer by a random share up to this: a fleet spreads out
 */

/** @type {Readonly<ResendPolicy>} */
export const DEFAULT_RESEND = Object.freeze({ firstS: 2, longestS: 30, jitter: 0.5 });

/**
 * Call `enter`, then drain `nextDue`, calling `markSent` for each.
 * @template Item
 */
export class Sender {
  /** @type {Map<number, Item>} */
  #held = new Map();
  #sentOnceUpTo = 0;
  #cursor = 0;
  #resendAtS = Infinity;
  #resends = 0;
  #isCutOff = false;
  #isHeldUp = false;
  #random;
  #policy;

  /** @type {number | null} incarnation of the broker that spoke last */
  broker = null;
  lastSeq = 0;
  accepted = 0;
  acknowledged = 0;
  /** @type {Totals} */
  totals = noTotals();
  /** @type {Credit | null} */
  credit = null;

  /**
   * @param {() => number} random uniform in [0, 1)
   * @param {ResendPolicy} policy
   */
  constructor(random, policy = DEFAULT_RESEND) {
    this.#random = random;
    this.#policy = policy;
  }

  /** How many batches are kept until they are acknowledged. */
  get held() {
    return this.#held.size;
  }

  /**
   * Returns whether the next batch may be begun with weights of a version.
   * @param {PolicyVersion} version
   */
  mayBegin(version) {
    const { credit } = this;
    return credit !== null && this.lastSeq < credit.upTo && version.compare(credit.minVersion) >= 0;
  }

  /**
   * Takes a finished batch, and returns its sequence number.
   * @param {Item} item
   */
  enter(item) {
    this.lastSeq += 1;
    this.#held.set(this.lastSeq, item);
    return this.lastSeq;
  }

  /**
   * Returns the next batch to transmit, or null. After transmitting, call `markSent`.
   * @param {number} nowS
   * @returns {{ seq: number, item: Item, sentBefore: boolean } | null}
   */
  nextDue(nowS) {
    if (this.#isWaiting) return null;
    if (nowS >= this.#resendAtS) {
      this.#resends += 1;
      this.#rewind(nowS);
    }
    const seq = Math.max(this.#cursor, this.accepted) + 1;
    const item = this.#held.get(seq);
    return item === undefined ? null : { seq, item, sentBefore: seq <= this.#sentOnceUpTo };
  }

  /**
   * Notes that the batch from `nextDue` was sent.
   * @param {number} seq
   * @param {number} nowS
   */
  markSent(seq, nowS) {
    this.#cursor = seq;
    this.#sentOnceUpTo = Math.max(this.#sentOnceUpTo, seq);
    if (this.#resendAtS === Infinity) this.#arm(nowS);
  }

  /** Transmits nothing until a delivery reports what has arrived. */
  loseConnection() {
    this.#isCutOff = true;
  }

  /** When `nextDue` may change without a delivery; infinity if never. */
  get nextEventAtS() {
    return this.#isWaiting ? Infinity : this.#resendAtS;
  }

  get #isWaiting() {
    return this.#isCutOff || this.#isHeldUp;
  }

  /**
   * Applies a delivery of this incarnation.
   * @param {Delivery} delivery
   * @param {number} nowS
   * @throws {RemoteProtocolError} it acknowledges more than it accepts, or more than was produced
   */
  receive(delivery, nowS) {
    const { acknowledged, accepted } = delivery;
    if (acknowledged > accepted || accepted > this.lastSeq) {
      throw new RemoteProtocolError(
        "malformed",
        `delivery of acknowledged ${acknowledged} and accepted ${accepted}, where ` +
          `${this.lastSeq} batches were produced`,
      );
    }
    if (delivery.broker !== this.broker) this.#meetBroker(delivery, nowS);
    this.#acknowledge(delivery);
    this.#accept(accepted, nowS);
    const wasWaiting = this.#isCutOff || (this.#isHeldUp && delivery.accepts);
    this.#isCutOff = false;
    this.#isHeldUp = !delivery.accepts;
    if (wasWaiting || (delivery.gap && this.#cursor > this.accepted)) this.#rewind(nowS);
    if (delivery.credit !== null) this.credit = newerCredit(this.credit, delivery.credit);
  }

  /**
   * A new incarnation holds only what it reports, and the old one's credit is void.
   * @param {Delivery} delivery
   * @param {number} nowS
   */
  #meetBroker(delivery, nowS) {
    this.broker = delivery.broker;
    this.credit = null;
    this.accepted = Math.max(delivery.accepted, this.acknowledged);
    this.#resends = 0;
    this.#rewind(nowS);
  }

  /** @param {Delivery} delivery */
  #acknowledge({ acknowledged, totals }) {
    if (acknowledged <= this.acknowledged) return;
    for (let seq = this.acknowledged + 1; seq <= acknowledged; seq += 1) this.#held.delete(seq);
    this.acknowledged = acknowledged;
    this.totals = totals;
  }

  /**
   * @param {number} accepted
   * @param {number} nowS
   */
  #accept(accepted, nowS) {
    if (accepted <= this.accepted) return;
    this.accepted = accepted;
    this.#resends = 0;
    this.#resendAtS = Infinity;
    if (this.#cursor > accepted) this.#arm(nowS);
  }

  /** @param {number} nowS */
  #rewind(nowS) {
    this.#cursor = this.accepted;
    this.#resendAtS = Infinity;
    if (this.lastSeq > this.accepted) this.#arm(nowS);
  }

  /** @param {number} nowS */
  #arm(nowS) {
    const { firstS, longestS, jitter } = this.#policy;
    const waitS = Math.min(firstS * 2 ** this.#resends, longestS);
    this.#resendAtS = nowS + waitS * (1 + jitter * this.#random());
  }
}

/**
 * A late copy of an older grant must not reduce the credit.
 * @param {Credit | null} old
 * @param {Credit} granted
 */
function newerCredit(old, granted) {
  if (old === null) return granted;
  const order = granted.upTo - old.upTo || granted.minVersion.compare(old.minVersion);
  return order >= 0 ? granted : old;
}
