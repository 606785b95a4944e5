/** Fits what simulators return to the tensors that the policy's graph declares. */

import { NdArray, sizeOf } from "../wire/arrays.js";
import { ConfigError } from "../wire/errors.js";

/** @typedef {import("../wire/manifest.js").IndexRange} IndexRange */
/** @typedef {import("../wire/manifest.js").TensorSpec} TensorSpec */

const INTEGER = /^(u?)int(\d+)$/;
const SAME_ENVIRONMENT = "do both use the same environment?";

/**
 * Returns a leaf as one row of a tensor, copied: simulators reuse their buffers. A conversion is
 * safe to floats, and to integers and flags wherever the values fit.
 * @param {TensorSpec} spec
 * @param {unknown} leaf a typed array, an NdArray, a number, or lists of numbers; lists and typed
 *   arrays may be flat
 * @throws {ConfigError} the shape is another one, a value does not fit, or is not finite
 */
export function fitRow(spec, leaf) {
  const { name, dtype, shape } = spec;
  const found = shapeOf(leaf);
  const flat = flatten(leaf);
  const isFlat = found.length === 1;
  if (flat.length !== sizeOf(shape) || (!isFlat && String(found) !== String(shape))) {
    throw differs(spec, `of shape [${found}]`);
  }
  const row = NdArray.zeros(dtype, [1, ...shape]);
  const { values } = row;
  const convert = converterTo(dtype);
  for (let index = 0; index < flat.length; index += 1) {
    const converted = convert(flat[index]);
    if (converted === undefined) throw differs(spec, `a value of ${shown(flat[index])}`);
    if (Number.isNaN(converted) || Math.abs(Number(converted)) === Infinity) {
      throw new ConfigError(`the simulator's '${name}' contains ${converted}`);
    }
    values[index] = converted;
  }
  return row;
}

/**
 * Checks indices and flags, which a graph would not: it sees nothing where one is too large.
 * @param {string} name
 * @param {NdArray} row
 * @param {IndexRange} range
 * @throws {ConfigError} one is outside of its space
 */
export function requireRange(name, { values }, { low, high }) {
  const bound = (/** @type {readonly number[]} */ bounds, /** @type {number} */ at) =>
    bounds.length === 1 ? bounds[0] : bounds[at];
  values.forEach((/** @type {number | bigint} */ value, /** @type {number} */ at) => {
    if (value < bound(low, at) || value > bound(high, at)) {
      throw new ConfigError(
        `the simulator's '${name}' is ${value}, outside its space, which begins at ` +
          `${Math.min(...low)} and ends at ${Math.max(...high)}`,
      );
    }
  });
}

/**
 * @param {TensorSpec} spec
 * @param {string} what
 */
function differs({ name, dtype, shape }, what) {
  return new ConfigError(
    `the simulator's '${name}' is ${what}, the learner's policy expects ${dtype} of shape ` +
      `[${shape}]: ${SAME_ENVIRONMENT}`,
  );
}

/** @param {unknown} value */
function shown(value) {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/**
 * Returns what converts a value, or returns undefined where that would change it.
 * @param {string} dtype
 * @returns {(value: unknown) => any}
 */
function converterTo(dtype) {
  const match = INTEGER.exec(dtype);
  if (dtype !== "bool" && match === null) {
    return (value) => (isNumber(value) ? Number(value) : undefined);
  }
  const bits = match === null ? 1 : Number(match[2]);
  const isSigned = match !== null && match[1] === "";
  const [low, high] = isSigned ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
  if (bits < 64) {
    return (value) => {
      const number = isNumber(value) ? Number(value) : NaN;
      return Number.isInteger(number) && number >= low && number <= high ? number : undefined;
    };
  }
  const wrap = isSigned ? BigInt.asIntN : BigInt.asUintN;
  return (value) => {
    const isWhole = typeof value !== "number" || Number.isInteger(value);
    if (!isNumber(value) || !isWhole) return undefined;
    const big = BigInt(value);
    return wrap(bits, big) === big ? big : undefined;
  };
}

/**
 * @param {unknown} value
 * @returns {value is number | bigint | boolean}
 */
function isNumber(value) {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean";
}

/**
 * @param {unknown} leaf
 * @returns {readonly number[]}
 */
function shapeOf(leaf) {
  if (leaf instanceof NdArray) return leaf.shape;
  const isList = Array.isArray(leaf) || ArrayBuffer.isView(leaf);
  if (!isList) return [];
  const { length, 0: first } = /** @type {any} */ (leaf);
  return [length, ...(length === 0 ? [] : shapeOf(first))];
}

/**
 * @param {unknown} leaf
 * @returns {ArrayLike<unknown>}
 */
function flatten(leaf) {
  if (leaf instanceof NdArray) return leaf.values;
  if (ArrayBuffer.isView(leaf)) return /** @type {any} */ (leaf);
  if (!Array.isArray(leaf)) return [leaf];
  const isNested = leaf.some((member) => typeof member === "object" && member !== null);
  return isNested ? leaf.flatMap((member) => Array.from(flatten(member))) : leaf;
}
