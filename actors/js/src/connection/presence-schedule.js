/** When an actor says next that it is alive. */

const DEFAULT_PERIOD_S = 1;
const LONGEST_S = 60;

/** A hello each second until it is answered, then an alive as often as the beacon asks for. */
export class PresenceSchedule {
  #shortestS;
  #periodS;

  /** When the next one is due. */
  dueS = -Infinity;

  /** @param {number} shortestS */
  constructor(shortestS) {
    this.#shortestS = shortestS;
    this.#periodS = shortestS;
  }

  /**
   * Adopts the period of the beacon.
   * @param {number} periodS
   */
  follow(periodS) {
    const next = Math.min(Math.max(periodS, this.#shortestS), LONGEST_S);
    this.dueS += Math.min(0, next - this.#periodS);
    this.#periodS = next;
  }

  /**
   * Makes a message due now.
   * @param {number} nowS
   */
  hasten(nowS) {
    this.dueS = nowS;
  }

  /**
   * Notes that a message was sent.
   * @param {number} nowS
   * @param {boolean} isHello
   */
  noteSent(nowS, isHello) {
    this.dueS = nowS + (isHello ? this.#shortestS : this.#periodS);
  }

  /**
   * From when on silence of the broker means something, as it answers each of these messages.
   * @param {number} nowS
   */
  silentSince(nowS) {
    return Math.max(nowS, this.dueS - DEFAULT_PERIOD_S);
  }
}
