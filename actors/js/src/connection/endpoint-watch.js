/** Finds the connections of a client that look alive and are not. */

import { SilenceWatch } from "../wire/silence.js";

/** @typedef {"ingest" | "control" | "weights"} Endpoint */

/** @type {readonly Endpoint[]} */
const ENDPOINTS = ["ingest", "control", "weights"];

/**
 * Watches the three connections of a client from the first call on.
 *
 * The broker answers each presence, which proves ingest; it sends a beacon each second, which
 * proves control; and weights are proven once the version in the beacon has arrived.
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
   * Returns, once, the endpoints to reconnect.
   * @param {number} nowS
   */
  takeOverdue(nowS) {
    return ENDPOINTS.filter((endpoint) => this.#watch(endpoint, nowS).restartIfOverdue(nowS));
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
