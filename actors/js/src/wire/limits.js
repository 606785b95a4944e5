/** Bounds on the data that this process decodes for a peer. */

const MIB = 1024 * 1024;

/**
 * @typedef {object} DecodeLimits
 * @property {number} maxHeaderBytes the header frame
 * @property {number} maxPayloadBytes one payload frame
 * @property {number} maxNodes maps, lists and their members in one payload, an array counting as one
 * @property {number} maxDepth maps and lists inside one another
 */

/** @type {Readonly<DecodeLimits>} */
export const DEFAULT_LIMITS = Object.freeze({
  maxHeaderBytes: MIB,
  maxPayloadBytes: 256 * MIB,
  maxNodes: 4096,
  maxDepth: 8,
});
