/**
 * Writes msgpack: integers in their shortest form, floats as 64 bits. `@msgpack/msgpack`, the
 * reader here, cannot write the wire: it has no whole floats and no binary keys, which arrays have.
 */

import { LocalProtocolError } from "./errors.js";

const TEXT = new TextEncoder();
const FIRST_CAPACITY_BYTES = 256;

/** A number that is written as a float, even if it is whole. */
export class Float64 {
  /** @param {number} value */
  constructor(value) {
    this.value = value;
  }
}

/** Appends values to a buffer that grows; `finish` returns the bytes. */
export class MsgpackWriter {
  #bytes = new Uint8Array(FIRST_CAPACITY_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Returns the bytes. The writer must not be used afterwards. */
  finish() {
    return this.#bytes.subarray(0, this.#length);
  }

  nil() {
    this.#byte(0xc0);
  }

  /** @param {boolean} value */
  boolean(value) {
    this.#byte(value ? 0xc3 : 0xc2);
  }

  /**
   * @param {number} value
   * @throws {LocalProtocolError} it is not a safe integer
   */
  integer(value) {
    if (!Number.isSafeInteger(value)) {
      throw new LocalProtocolError(`${value} is not an integer within 2^53 - 1`);
    }
    if (value >= 0) this.#positive(value);
    else this.#negative(value);
  }

  /**
   * Writes an integer if the number is one, else a float.
   * @param {number} value
   */
  number(value) {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.integer(value);
    else this.float64(value);
  }

  /** @param {number} value */
  float64(value) {
    this.#byte(0xcb);
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value);
  }

  /** @param {string} value */
  text(value) {
    const bytes = TEXT.encode(value);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else this.#size(bytes.length, 0xd9);
    this.#append(bytes);
  }

  /** @param {Uint8Array} bytes */
  binary(bytes) {
    this.#size(bytes.length, 0xc4);
    this.#append(bytes);
  }

  /**
   * Begins a list; its members follow.
   * @param {number} size
   */
  list(size) {
    if (size < 16) this.#byte(0x90 | size);
    else this.#longSize(size, 0xdc);
  }

  /**
   * Begins a map; its keys and values follow in turn.
   * @param {number} size
   */
  map(size) {
    if (size < 16) this.#byte(0x80 | size);
    else this.#longSize(size, 0xde);
  }

  /** @param {number} value */
  #positive(value) {
    if (value < 0x80) this.#byte(value);
    else if (value < 0x1_0000_0000) this.#size(value, 0xcc);
    else {
      this.#byte(0xcf);
      const at = this.#reserve(8);
      this.#view.setBigUint64(at, BigInt(value));
    }
  }

  /** @param {number} value */
  #negative(value) {
    if (value >= -0x20) this.#byte(0x100 + value);
    else if (value >= -0x80) {
      this.#byte(0xd0);
      this.#byte(0x100 + value);
    } else if (value >= -0x8000) {
      this.#byte(0xd1);
      const at = this.#reserve(2);
      this.#view.setInt16(at, value);
    } else if (value >= -0x8000_0000) {
      this.#byte(0xd2);
      const at = this.#reserve(4);
      this.#view.setInt32(at, value);
    } else {
      this.#byte(0xd3);
      const at = this.#reserve(8);
      this.#view.setBigInt64(at, BigInt(value));
    }
  }

  /**
   * Writes a number in 1, 2 or 4 bytes after its tag: `tag`, `tag + 1` or `tag + 2`.
   * @param {number} value
   * @param {number} tag
   */
  #size(value, tag) {
    if (value < 0x100) {
      this.#byte(tag);
      this.#byte(value);
    } else {
      this.#longSize(value, tag + 1);
    }
  }

  /**
   * The same in 2 or 4 bytes.
   * @param {number} value
   * @param {number} tag
   */
  #longSize(value, tag) {
    if (value < 0x1_0000) {
      this.#byte(tag);
      const at = this.#reserve(2);
      this.#view.setUint16(at, value);
    } else {
      this.#byte(tag + 1);
      const at = this.#reserve(4);
      this.#view.setUint32(at, value);
    }
  }

  /** @param {number} value */
  #byte(value) {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  /** @param {Uint8Array} bytes */
  #append(bytes) {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /**
   * Makes room, and returns where it begins.
   * @param {number} byteCount
   */
  #reserve(byteCount) {
    const start = this.#length;
    this.#length += byteCount;
    if (this.#length > this.#bytes.length) this.#grow();
    return start;
  }

  #grow() {
    const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
