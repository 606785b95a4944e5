/** The messages between a thin simulator and a policy server; SPEC.md, section 11. */

import { NdArray } from "../arrays.js";
import { RemoteProtocolError } from "../errors.js";
import {
  boolean,
  count,
  float64,
  integer,
  list,
  name,
  nullable,
  optional,
  policyVersion,
  text,
  withDefault,
} from "../fields.js";
import { Float64 } from "../msgpack-writer.js";
import { decodePayload, encodePayload } from "../payload.js";
import { Struct } from "../structs.js";
import { assignment, rejectCode } from "./parts.js";

/**
 * @template {string} Kind
 * @template S
 * @typedef {import("./base.js").MessageOf<Kind, S>} MessageOf
 */

/** The endpoint of a policy server on this machine. */
export const DEFAULT_INFERENCE = "tcp://127.0.0.1:5570";

const turnOf = { episode: name, turn: integer(0, 2 ** 40) };

const describe = new Struct({});
const act = new Struct({
  ...turnOf,
  trainingEnabled: withDefault(boolean, true),
  task: optional(name),
});
const end = new Struct({ ...turnOf, truncated: withDefault(boolean, false) });

const description = new Struct({
  run: name,
  version: policyVersion,
  multiAgent: withDefault(boolean, false),
  infos: optional(list(name)),
  assignment: optional(assignment),
});
const actions = new Struct(turnOf);
const ended = new Struct({ ...turnOf, assignment: optional(assignment) });
const denial = new Struct({
  code: rejectCode,
  reason: text(),
  episode: nullable(name),
  turn: nullable(count),
});

/** @typedef {MessageOf<"describe", typeof describe>} Describe */
/** @typedef {MessageOf<"act", typeof act>} Act */
/** @typedef {MessageOf<"end", typeof end>} End */
/** @typedef {MessageOf<"description", typeof description>} Description */
/** @typedef {MessageOf<"actions", typeof actions>} Actions */
/** @typedef {MessageOf<"ended", typeof ended>} Ended */
/** @typedef {MessageOf<"denial", typeof denial>} Denial */

/** @typedef {Describe | Act | End} Question */
/** @typedef {Description | Actions | Ended | Denial} Answer */

/** @type {Readonly<Record<string, import("./base.js").MessageKind>>} */
export const QUESTION_KINDS = {
  describe: { fields: describe, payloads: 0 },
  act: { fields: act, payloads: 1 },
  end: { fields: end, payloads: 1 },
};

/** @type {Readonly<Record<string, import("./base.js").MessageKind>>} */
export const ANSWER_KINDS = {
  description: { fields: description, payloads: 0 },
  actions: { fields: actions, payloads: 1 },
  ended: { fields: ended, payloads: 0 },
  denial: { fields: denial, payloads: 0 },
};

/**
 * One agent's part of a request.
 * @typedef {object} AgentTurn
 * @property {unknown} [observation] a typed array, an NdArray, a number, lists of numbers, or maps of these
 * @property {number} [reward] the reward since its last action; 0 by default
 * @property {unknown} [action] the action that it takes without asking for one
 * @property {boolean} [terminated] whether it leaves with this observation, and gets no action
 * @property {boolean} [truncated] the same, but cut off
 */

/** @typedef {number | number[]} Action */

/**
 * Returns the payload of a request, by agent id.
 * @param {Map<string, AgentTurn>} turns
 */
export function encodeTurns(turns) {
  /** @type {Map<string, unknown>} */
  const tree = new Map();
  for (const [agent, turn] of turns) {
    const given = Object.entries(turn).filter(([, value]) => value !== undefined);
    const packed = given.map(([key, value]) => [
      key,
      key === "reward" ? new Float64(Number(value)) : withArrays(value),
    ]);
    tree.set(agent, Object.fromEntries(packed));
  }
  return encodePayload(tree);
}

/**
 * Returns the turns in the payload of a request.
 * @param {Uint8Array} frame
 * @returns {Map<string, AgentTurn>}
 * @throws {RemoteProtocolError} the payload is malformed
 */
export function decodeTurns(frame) {
  /** @type {Map<string, AgentTurn>} */
  const turns = new Map();
  for (const [agent, fields] of decodePayload(frame)) {
    if (!(fields instanceof Map))
      throw new RemoteProtocolError("malformed", "a turn that is not a map");
    if (fields.has("reward")) float64.read(fields.get("reward"), "reward");
    turns.set(agent, Object.fromEntries(fields));
  }
  return turns;
}

/**
 * Returns the actions in the payload of an answer, by agent id.
 * @param {Uint8Array} frame
 * @returns {Map<string, Action>}
 * @throws {RemoteProtocolError} the payload is malformed
 */
export function decodeActions(frame) {
  const actionsByAgent = new Map();
  for (const [agent, action] of decodePayload(frame)) {
    if (!isAction(action)) {
      throw new RemoteProtocolError("malformed", "an action that does not consist of numbers");
    }
    actionsByAgent.set(agent, action);
  }
  return actionsByAgent;
}

/**
 * Returns a value with NdArrays in place of typed arrays, which have no shape.
 * @param {unknown} value
 * @returns {unknown}
 */
function withArrays(value) {
  if (ArrayBuffer.isView(value)) return NdArray.of(/** @type {any} */ (value));
  if (typeof value !== "object" || value === null) return value;
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const members = Object.entries(value).map(([key, member]) => [key, withArrays(member)]);
  return Object.fromEntries(members);
}

/** @param {unknown} value */
function isAction(value) {
  if (Array.isArray(value)) return value.every(isAction);
  if (value instanceof Map) return [...value.values()].every(isAction);
  return typeof value === "number";
}
