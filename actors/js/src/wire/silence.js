/** When to replace a connection that has gone silent. */

/**
 * Watches one connection whose peer speaks at least once a second.
 *
 * A connection that a middlebox has forgotten, or whose proxy has lost the other side, looks alive
 * to TCP for ever. But a large message on a slow line is silence, too, and would never arrive if
 * each attempt were cut short: so each one is given twice the time of the last.
 */
export class SilenceWatch {
  #firstS;
  #longestS;
  #limitS;
  #sinceS;

  /**
   * @param {number} nowS
   * @param {{ firstS?: number, longestS?: number }} [limits]
   */
  constructor(nowS, { firstS = 5, longestS = 600 } = {}) {
    this.#firstS = firstS;
    this.#longestS = longestS;
    this.#limitS = firstS;
    this.#sinceS = nowS;
  }

  /**
   * Notes that the peer spoke.
   * @param {number} nowS
   */
  hear(nowS) {
    this.#limitS = this.#firstS;
    this.#sinceS = nowS;
  }

  /**
   * Begins the next, longer wait if this one is over; returns whether it was: reconnect.
   * @param {number} nowS
   */
  restartIfOverdue(nowS) {
    if (nowS - this.#sinceS < this.#limitS) return false;
    this.#limitS = Math.min(2 * this.#limitS, this.#longestS);
    this.#sinceS = nowS;
    return true;
  }
}
