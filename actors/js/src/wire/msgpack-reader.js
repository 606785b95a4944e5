/** Reads msgpack from untrusted bytes. */

import { decode, DecodeError } from "@msgpack/msgpack";

import { RemoteProtocolError } from "./errors.js";
import { scanMsgpack } from "./msgpack-scanner.js";

/** @typedef {import("./msgpack-scanner.js").MsgpackBounds} MsgpackBounds */

const BINARY = "\ud800"; // begins the name of a binary key; half a character, no UTF-8 text holds it
const LATIN1 = new TextDecoder("latin1");

/**
 * Returns the one value in a frame: null, booleans, numbers, text, bytes that share the frame's
 * memory, lists, and plain objects for maps. Integers beyond 2^53 - 1 are rounded, to numbers
 * beyond it.
 * @param {Uint8Array} frame
 * @param {MsgpackBounds} bounds
 * @returns {unknown}
 * @throws {RemoteProtocolError} the bytes are something else, or exceed the bounds
 */
export function readMsgpack(frame, bounds) {
  scanMsgpack(frame, bounds);
  // Not as a Buffer, whose slices share its memory.
  const bytes = new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength);
  try {
    // Only keys can still be wrong: __proto__, or one that is neither text nor binary.
    return decode(bytes, { mapKeyConverter });
  } catch (error) {
    if (!(error instanceof DecodeError || error instanceof RangeError)) throw error;
    throw malformed(error.message);
  }
}

/**
 * Returns the name that a binary key has in an object.
 * @param {string} key
 */
export function binaryKey(key) {
  return BINARY + key;
}

/**
 * Returns whether a name in an object is that of a binary key.
 * @param {string} key
 */
export function isBinaryKey(key) {
  return key.startsWith(BINARY);
}

/** @param {unknown} key */
function mapKeyConverter(key) {
  if (key instanceof Uint8Array) return binaryKey(LATIN1.decode(key));
  if (typeof key === "string") return key;
  throw malformed("a map with a key that is not text");
}

/** @param {string} what */
function malformed(what) {
  return new RemoteProtocolError("malformed", `not msgpack: ${what}`);
}
