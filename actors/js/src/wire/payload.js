/** Payload frames: one msgpack map of text, numbers, lists, maps and arrays. */

import { isPackedArray, MAX_DIMENSIONS, NdArray, readArray, writeArray } from "./arrays.js";
import { LocalProtocolError, RemoteProtocolError } from "./errors.js";
import { DEFAULT_LIMITS } from "./limits.js";
import { isBinaryKey, readMsgpack } from "./msgpack-reader.js";
import { Float64, MsgpackWriter } from "./msgpack-writer.js";
import { isPlainObject } from "./plain-object.js";

/** @typedef {import("./limits.js").DecodeLimits} DecodeLimits */

// An array's own map and its list of sizes are parts of the array, not levels of the payload.
const LEVELS_OF_AN_ARRAY = 2;
const KEYS_OF_AN_ARRAY = 5;
const NODES_OF_A_MEMBER = 2 + 2 * KEYS_OF_AN_ARRAY + MAX_DIMENSIONS;

/**
 * Returns the payload frame of a map of text, numbers, lists, maps and arrays.
 * @param {Map<string, unknown> | Record<string, unknown>} tree
 * @throws {LocalProtocolError} a value has no form on the wire
 */
export function encodePayload(tree) {
  const writer = new MsgpackWriter();
  writeMap(writer, tree);
  return writer.finish();
}

/**
 * Returns the map in a payload frame.
 * @param {Uint8Array} frame
 * @param {DecodeLimits} limits
 * @returns {Map<string, unknown>}
 * @throws {RemoteProtocolError} the bytes are not one such map, or exceed the limits
 */
export function decodePayload(frame, limits = DEFAULT_LIMITS) {
  if (frame.length > limits.maxPayloadBytes) {
    throw new RemoteProtocolError(
      "oversized",
      `a payload of ${frame.length} bytes; the limit is ${limits.maxPayloadBytes}`,
    );
  }
  const packed = readMsgpack(frame, {
    maxDepth: limits.maxDepth + LEVELS_OF_AN_ARRAY,
    maxNodes: limits.maxNodes * NODES_OF_A_MEMBER,
  });
  const tree = new Unpacking(limits.maxNodes).unpack(packed, limits.maxDepth);
  if (!(tree instanceof Map))
    throw new RemoteProtocolError("malformed", "a payload that is not a map");
  return tree;
}

/** Turns packed arrays into arrays, and all other maps into Maps, within the limits. */
class Unpacking {
  #nodesLeft;

  /** @param {number} maxNodes */
  constructor(maxNodes) {
    this.#nodesLeft = maxNodes;
  }

  /**
   * @param {unknown} value
   * @param {number} levelsLeft
   * @returns {unknown}
   */
  unpack(value, levelsLeft) {
    if (Array.isArray(value)) {
      this.#open(value.length, levelsLeft);
      return value.map((member) => this.unpack(member, levelsLeft - 1));
    }
    if (!isPlainObject(value)) return value;
    return isPackedArray(value) ? readArray(value) : this.#unpackMap(value, levelsLeft);
  }

  /**
   * @param {Record<string, unknown>} packed
   * @param {number} levelsLeft
   */
  #unpackMap(packed, levelsLeft) {
    const entries = Object.entries(packed);
    this.#open(entries.length, levelsLeft);
    const map = new Map();
    for (const [key, member] of entries) {
      if (isBinaryKey(key)) {
        throw new RemoteProtocolError("malformed", "a map with a key that is not text");
      }
      map.set(key, this.unpack(member, levelsLeft - 1));
    }
    return map;
  }

  /**
   * Counts a map or a list, and its members.
   * @param {number} size
   * @param {number} levelsLeft
   */
  #open(size, levelsLeft) {
    if (levelsLeft === 0) throw new RemoteProtocolError("oversized", "a payload nested too deeply");
    this.#nodesLeft -= 1 + size;
    if (this.#nodesLeft < 0) {
      throw new RemoteProtocolError("oversized", "a payload of too many parts");
    }
  }
}

/**
 * @param {MsgpackWriter} writer
 * @param {Map<string, unknown> | Record<string, unknown>} map
 */
function writeMap(writer, map) {
  const entries = map instanceof Map ? [...map] : Object.entries(map);
  writer.map(entries.length);
  for (const [key, value] of entries) {
    writer.text(key);
    writeValue(writer, value);
  }
}

/**
 * @param {MsgpackWriter} writer
 * @param {unknown} value
 */
function writeValue(writer, value) {
  if (value === null) writer.nil();
  else if (typeof value === "string") writer.text(value);
  else if (typeof value === "boolean") writer.boolean(value);
  else if (typeof value === "number") writer.number(value);
  else if (value instanceof Float64) writer.float64(value.value);
  else if (value instanceof NdArray) writeArray(writer, value);
  else if (value instanceof Uint8Array) writer.binary(value);
  else if (Array.isArray(value)) {
    writer.list(value.length);
    for (const member of value) writeValue(writer, member);
  } else if (value instanceof Map || isPlainObject(value)) writeMap(writer, value);
  else
    throw new LocalProtocolError(`a payload holds text, numbers and arrays, not ${typeof value}`);
}
