/** Arrays with a shape, and their form in msgpack. */

import { dtypeNamed, dtypeOfCode } from "./dtypes.js";
import { LocalProtocolError, RemoteProtocolError } from "./errors.js";
import { binaryKey } from "./msgpack-reader.js";

/** @typedef {import("./dtypes.js").TypedArray} TypedArray */
/** @typedef {import("./msgpack-writer.js").MsgpackWriter} MsgpackWriter */

export const MAX_DIMENSIONS = 8;
const LARGEST_SIZE = 2 ** 48 - 1;
const TYPE = /^([<>|=]?)([biufc]\d{1,2})$/;
const KEY_NAMES = ["nd", "type", "kind", "shape", "data"];
const KEYS = Object.fromEntries(KEY_NAMES.map((key) => [key, new TextEncoder().encode(key)]));
const KEYS_READ = new Set(KEY_NAMES.map(binaryKey));

/** Numbers of one dtype in C order. */
export class NdArray {
  /**
   * @param {string} dtype NumPy's name, such as `float32`
   * @param {readonly number[]} shape
   * @param {TypedArray} values as many as the shape requires; two for each complex number
   * @throws {LocalProtocolError} they do not match
   */
  constructor(dtype, shape, values) {
    const known = dtypeNamed(dtype);
    if (known === undefined) throw new LocalProtocolError(`${dtype} is not a dtype of the wire`);
    const bytes = sizeOf(shape) * known.itemBytes;
    if (shape.length > MAX_DIMENSIONS || values.byteLength !== bytes) {
      throw new LocalProtocolError(
        `${values.byteLength} bytes for shape [${shape}] of ${dtype}, which needs ${bytes}`,
      );
    }
    this.dtype = dtype;
    this.shape = shape;
    this.values = values;
  }

  /**
   * Returns the numbers of a typed array, in one dimension.
   * @param {TypedArray} values
   * @throws {LocalProtocolError} the wire has no such dtype
   */
  static of(values) {
    const name = values.constructor.name.replace(/^Big|Array$/g, "").toLowerCase();
    return new NdArray(name, [values.length], values);
  }

  /**
   * Returns an array of zeros.
   * @param {string} dtype
   * @param {readonly number[]} shape
   * @throws {LocalProtocolError} the wire has no such dtype
   */
  static zeros(dtype, shape) {
    const known = dtypeNamed(dtype);
    if (known === undefined) throw new LocalProtocolError(`${dtype} is not a dtype of the wire`);
    return new NdArray(dtype, shape, known.view(new ArrayBuffer(sizeOf(shape) * known.itemBytes)));
  }

  /** The elements as on the wire: little-endian, as on every machine that runs Node.js. */
  get bytes() {
    const { buffer, byteOffset, byteLength } = this.values;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
}

/**
 * Returns the number of elements in a shape.
 * @param {readonly number[]} shape
 */
export function sizeOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Writes an array as msgpack-numpy does: a map whose keys are bytes.
 * @param {MsgpackWriter} writer
 * @param {NdArray} array
 */
export function writeArray(writer, array) {
  const known = dtypeNamed(array.dtype);
  if (known === undefined) {
    throw new LocalProtocolError(`${array.dtype} is not a dtype of the wire`);
  }
  writer.map(5);
  writer.binary(KEYS.nd);
  writer.boolean(true);
  writer.binary(KEYS.type);
  writer.text((known.swapBytes === 1 ? "|" : "<") + known.code);
  writer.binary(KEYS.kind);
  writer.binary(new Uint8Array(0));
  writer.binary(KEYS.shape);
  writer.list(array.shape.length);
  for (const size of array.shape) writer.integer(size);
  writer.binary(KEYS.data);
  writer.binary(array.bytes);
}

/**
 * Returns whether a decoded map stands for an array or a NumPy scalar.
 * @param {Record<string, unknown>} map
 */
export function isPackedArray(map) {
  return Object.hasOwn(map, binaryKey("nd"));
}

/**
 * Returns the array in a decoded map, with a copy of its bytes.
 * @param {Record<string, unknown>} packed
 * @throws {RemoteProtocolError} a part is missing, of another type, or disagrees with the others
 */
export function readArray(packed) {
  if (!Object.keys(packed).every((key) => KEYS_READ.has(key))) throw fault("unknown keys");
  const [isArray, type, kind, sizes, data] = KEY_NAMES.map((key) => packed[binaryKey(key)]);
  if (typeof isArray !== "boolean") throw fault("an 'nd' that is not a boolean");
  if ((kind ?? "") !== "" && !(kind instanceof Uint8Array && kind.length === 0)) {
    throw fault("a dtype other than plain numbers");
  }
  const { dtype, isSwapped } = readType(type);
  const shape = isArray ? readShape(sizes) : [];
  if (!(data instanceof Uint8Array)) throw fault("'data' that is not binary");
  if (sizeOf(shape) * dtype.itemBytes !== data.length) {
    throw fault(`${data.length} bytes for shape [${shape}] of ${dtype.name}`);
  }
  const copy = new Uint8Array(data); // its own buffer begins where the first element does
  if (isSwapped) reverseEach(copy, dtype.swapBytes);
  return new NdArray(dtype.name, shape, dtype.view(copy.buffer));
}

/** @param {unknown} type */
function readType(type) {
  const match = typeof type === "string" ? TYPE.exec(type) : null;
  const dtype = match === null ? undefined : dtypeOfCode(match[2]);
  if (match === null || dtype === undefined) throw fault("a dtype other than plain numbers");
  return { dtype, isSwapped: match[1] === ">" };
}

/**
 * @param {unknown} shape
 * @returns {number[]}
 */
function readShape(shape) {
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS) {
    throw fault(`a 'shape' that is not a list of at most ${MAX_DIMENSIONS} sizes`);
  }
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0 || size > LARGEST_SIZE) {
      throw fault("a 'shape' with something other than sizes");
    }
  }
  return shape;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} size
 */
function reverseEach(bytes, size) {
  for (let start = 0; start < bytes.length; start += size) {
    bytes.subarray(start, start + size).reverse();
  }
}

/** @param {string} what */
function fault(what) {
  return new RemoteProtocolError("malformed", `an array with ${what}`);
}
