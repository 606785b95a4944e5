/**
 * Checks msgpack before anything is built from it: a decoder takes kilobytes for each of many
 * nested lists that are a few bytes long, and notices only at the end that their members are
 * missing.
 */

import { isUtf8 } from "node:buffer";

import { RemoteProtocolError } from "./errors.js";

/**
 * @typedef {object} MsgpackBounds
 * @property {number} maxDepth maps and lists inside one another
 * @property {number} maxNodes members of all maps and lists; a map's key and its value are two
 */

/**
 * The meaning of a first byte: `size` bytes or members follow, or as many as the next `sizeBytes`
 * bytes say.
 * @typedef {object} Format
 * @property {"bytes" | "text" | "list" | "map"} holds
 * @property {number} [size]
 * @property {1 | 2 | 4} [sizeBytes]
 */

/** @type {Readonly<Record<number, Format>>} */
const LONG_FORMATS = {
  0xc0: { holds: "bytes", size: 0 }, // nil
  0xc2: { holds: "bytes", size: 0 }, // false
  0xc3: { holds: "bytes", size: 0 }, // true
  0xc4: { holds: "bytes", sizeBytes: 1 },
  0xc5: { holds: "bytes", sizeBytes: 2 },
  0xc6: { holds: "bytes", sizeBytes: 4 },
  0xca: { holds: "bytes", size: 4 }, // floats
  0xcb: { holds: "bytes", size: 8 },
  0xcc: { holds: "bytes", size: 1 }, // unsigned integers
  0xcd: { holds: "bytes", size: 2 },
  0xce: { holds: "bytes", size: 4 },
  0xcf: { holds: "bytes", size: 8 },
  0xd0: { holds: "bytes", size: 1 }, // integers
  0xd1: { holds: "bytes", size: 2 },
  0xd2: { holds: "bytes", size: 4 },
  0xd3: { holds: "bytes", size: 8 },
  0xd9: { holds: "text", sizeBytes: 1 },
  0xda: { holds: "text", sizeBytes: 2 },
  0xdb: { holds: "text", sizeBytes: 4 },
  0xdc: { holds: "list", sizeBytes: 2 },
  0xdd: { holds: "list", sizeBytes: 4 },
  0xde: { holds: "map", sizeBytes: 2 },
  0xdf: { holds: "map", sizeBytes: 4 },
};
const FORMATS = Array.from({ length: 256 }, (_, tag) => shortFormat(tag) ?? LONG_FORMATS[tag]);

/**
 * Checks that a frame is one value of msgpack without extensions, with text in UTF-8.
 * @param {Uint8Array} frame
 * @param {MsgpackBounds} bounds
 * @throws {RemoteProtocolError} it is something else, or exceeds the bounds
 */
export function scanMsgpack(frame, bounds) {
  new Scanner(frame, bounds.maxNodes).scan(bounds.maxDepth);
}

class Scanner {
  #frame;
  #view;
  #nodesLeft;
  #offset = 0;

  /**
   * @param {Uint8Array} frame
   * @param {number} maxNodes
   */
  constructor(frame, maxNodes) {
    this.#frame = frame;
    this.#view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    this.#nodesLeft = maxNodes;
  }

  /** @param {number} maxDepth */
  scan(maxDepth) {
    this.#value(maxDepth);
    if (this.#offset !== this.#frame.length) throw malformed("bytes after the end of a value");
  }

  /** @param {number} levelsLeft */
  #value(levelsLeft) {
    const format = FORMATS[this.#unsigned(1)];
    if (format === undefined) throw malformed("an extension, or a byte that begins no value");
    const size = format.size ?? this.#unsigned(format.sizeBytes ?? 1);
    if (format.holds === "bytes") this.#advance(size);
    else if (format.holds === "text") this.#text(size);
    else this.#members(format.holds === "map" ? 2 * size : size, levelsLeft);
  }

  /**
   * @param {number} count
   * @param {number} levelsLeft
   */
  #members(count, levelsLeft) {
    if (levelsLeft === 0) throw oversized("nested too deeply");
    this.#nodesLeft -= count;
    if (this.#nodesLeft < 0) throw oversized("of too many parts");
    for (let index = 0; index < count; index += 1) this.#value(levelsLeft - 1);
  }

  /** @param {number} byteCount */
  #text(byteCount) {
    const start = this.#advance(byteCount);
    if (!isUtf8(this.#frame.subarray(start, this.#offset))) throw malformed("text not in UTF-8");
  }

  /** @param {number} byteCount 1, 2 or 4 */
  #unsigned(byteCount) {
    const start = this.#advance(byteCount);
    if (byteCount === 1) return this.#view.getUint8(start);
    return byteCount === 2 ? this.#view.getUint16(start) : this.#view.getUint32(start);
  }

  /**
   * Steps over bytes, and returns where they begin.
   * @param {number} byteCount
   */
  #advance(byteCount) {
    const start = this.#offset;
    if (start + byteCount > this.#frame.length) throw malformed("bytes that end too early");
    this.#offset = start + byteCount;
    return start;
  }
}

/**
 * Returns the format whose size is in the first byte itself.
 * @param {number} tag
 * @returns {Format | undefined}
 */
function shortFormat(tag) {
  if (tag < 0x80 || tag >= 0xe0) return { holds: "bytes", size: 0 };
  if (tag < 0x90) return { holds: "map", size: tag & 0x0f };
  if (tag < 0xa0) return { holds: "list", size: tag & 0x0f };
  if (tag < 0xc0) return { holds: "text", size: tag & 0x1f };
  return undefined;
}

/** @param {string} what */
function malformed(what) {
  return new RemoteProtocolError("malformed", `not msgpack: ${what}`);
}

/** @param {string} what */
function oversized(what) {
  return new RemoteProtocolError("oversized", `a frame that is ${what}`);
}
