/**
 * Subscription topics: a kind byte, an id and NUL. ZeroMQ matches topics by prefix; without the
 * closing NUL, actor `a1` would also receive what is meant for `a10`.
 */

export const BEACON_TOPIC = "b\0";

/**
 * The topic of an actor's deliveries and rejects, on the control endpoint.
 * @param {string} actor
 */
export function deliveryTopic(actor) {
  return `d${actor}\0`;
}

/**
 * The topic of an actor's snapshots, on the weights endpoint.
 * @param {string} actor
 */
export function snapshotTopic(actor) {
  return `s${actor}\0`;
}

/**
 * The topic of a run's weights, on the weights endpoint.
 * @param {string} run
 */
export function weightsTopic(run) {
  return `w${run}\0`;
}
