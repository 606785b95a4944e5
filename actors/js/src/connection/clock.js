/** The clock that the client reads. */

/** @typedef {() => number} Clock seconds, never going back */

/**
 * Returns seconds on the machine's monotonic clock.
 * @type {Clock}
 */
export function monotonicS() {
  return Number(process.hrtime.bigint()) / 1e9;
}
