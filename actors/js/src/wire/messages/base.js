/** What all messages have in common. */

/** The major version of the wire; peers with another one are refused with `unsupported_version`. */
export const WIRE_VERSION = 1;

/**
 * @template {string} Kind
 * @template S
 * @typedef {{ kind: Kind } & import("../fields.js").ValueOf<S>} MessageOf
 */

/**
 * The fields of a header frame, and the number of payload frames after it.
 * @typedef {object} MessageKind
 * @property {import("../structs.js").Struct<any>} fields
 * @property {number} payloads
 */
