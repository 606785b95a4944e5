/** Turns a simulator's observations into the rows that a policy graph takes. */

import { NdArray, sizeOf } from "../wire/arrays.js";
import { ConfigError } from "../wire/errors.js";

/** @typedef {import("../wire/manifest.js").TensorSpec} TensorSpec */

/**
 * Returns one observation as a row of each input.
 * @param {unknown} observation a typed array, lists of numbers, or objects of these by name
 * @param {readonly TensorSpec[]} wanted
 * @returns {Map<string, NdArray>}
 * @throws {ConfigError} it does not match the graph's inputs
 */
export function observationRows(observation, wanted) {
  const leaves = leavesOf(observation, "obs");
  if (leaves.size !== wanted.length || !wanted.every(({ name }) => leaves.has(name))) {
    throw new ConfigError(
      `the simulator's observation has [${[...leaves.keys()]}], the learner's policy expects ` +
        `[${wanted.map(({ name }) => name)}]: do both use the same environment?`,
    );
  }
  return new Map(wanted.map((spec) => [spec.name, rowFor(spec, leaves.get(spec.name))]));
}

/**
 * Returns the leaves of nested observations by path, such as `obs/camera`.
 * @param {unknown} value
 * @param {string} path
 * @returns {Map<string, unknown>}
 */
function leavesOf(value, path) {
  const isNested =
    typeof value === "object" &&
    value !== null &&
    Object.getPrototypeOf(value) === Object.prototype;
  if (!isNested) return new Map([[path, value]]);
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return new Map(members.flatMap(([key, member]) => [...leavesOf(member, `${path}/${key}`)]));
}

/**
 * Returns a leaf as one row of a tensor, copied: simulators reuse their buffers.
 * @param {TensorSpec} spec
 * @param {unknown} leaf
 */
function rowFor({ name, dtype, shape }, leaf) {
  const flat = flatten(leaf);
  const row = NdArray.zeros(dtype, [1, ...shape]);
  if (flat.length !== sizeOf(shape)) {
    throw new ConfigError(
      `the simulator's '${name}' has ${flat.length} values, the learner's policy expects ${dtype} ` +
        `of shape [${shape}]: do both use the same environment?`,
    );
  }
  const { values } = row;
  const isBig = values instanceof BigInt64Array || values instanceof BigUint64Array;
  flat.forEach((each, index) => {
    if (!isBig && !Number.isFinite(Number(each))) {
      throw new ConfigError(`the simulator's '${name}' holds a value that is not finite`);
    }
    values[index] = isBig ? BigInt(each) : Number(each);
  });
  return row;
}

/**
 * @param {unknown} leaf
 * @returns {(number | bigint)[]}
 */
function flatten(leaf) {
  if (leaf instanceof NdArray) return flatten(leaf.values);
  if (ArrayBuffer.isView(leaf)) return Array.from(/** @type {any} */ (leaf));
  return Array.isArray(leaf) ? leaf.flat(Infinity) : [/** @type {number} */ (leaf)];
}
