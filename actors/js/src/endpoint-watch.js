/** Which of a client's connections look alive and are not. */

import { SilenceWatch } from "./silence-watch.js";

/** @typedef {"ingest" | "control" | "weights"} Endpoint */

/** @type {readonly Endpoint[]} */
const ENDPOINTS = ["ingest", "control", "weights"];

/**
 * Watches the three connections of a client from the first call on.
 *
 * The broker answers each presence, which proves ingest; it sends a beacon each second, which
 * proves control; and weights are proven by the version that the beacon tells, once it is here.
 */
export class EndpointWatch {
  /** @type {Map<Endpoint, SilenceWatch>} */
  #watches = new Map();

  /**
   * Notes that an endpoint has proven itself.
   * @param {Endpoint} endpoint
   * @param {number} nowS
   */
  hear(endpoint, nowS) {
    this.#watch(endpoint, nowS).hear(nowS);
  }

  /**
   * Returns, once, the endpoints to connect anew.
   * @param {number} nowS
   */
  overdue(nowS) {
    return ENDPOINTS.filter((endpoint) => this.#watch(endpoint, nowS).isOverdue(nowS));
  }

  /**
   * @param {Endpoint} endpoint
   * @param {number} nowS
   */
  #watch(endpoint, nowS) {
    const known = this.#watches.get(endpoint) ?? new SilenceWatch(nowS);
    this.#watches.set(endpoint, known);
    return known;
  }
}
