/** Turns a simulator's observations into the rows that a policy graph takes. */

import { ConfigError } from "../wire/errors.js";
import { fitRow, requireRange } from "./fitting.js";

/** @typedef {import("../wire/arrays.js").NdArray} NdArray */
/** @typedef {import("../wire/manifest.js").IndexRange} IndexRange */
/** @typedef {import("../wire/manifest.js").TensorSpec} TensorSpec */

/**
 * Returns one observation as a row of each input.
 * @param {unknown} observation a typed array, lists of numbers, or objects of these by name
 * @param {readonly TensorSpec[]} wanted
 * @param {ReadonlyMap<string, IndexRange>} [ranges] bounds of indices, by path
 * @returns {Map<string, NdArray>}
 * @throws {ConfigError} it does not match the graph's inputs
 */
export function observationRows(observation, wanted, ranges) {
  const leaves = leavesOf(observation, "obs");
  if (leaves.size !== wanted.length || !wanted.every(({ name }) => leaves.has(name))) {
    throw new ConfigError(
      `the simulator's observation has [${[...leaves.keys()]}], the learner's policy expects ` +
        `[${wanted.map(({ name }) => name)}]: do both use the same environment?`,
    );
  }
  const row = (/** @type {TensorSpec} */ spec) => {
    const fitted = fitRow(spec, leaves.get(spec.name));
    const range = ranges?.get(spec.name);
    if (range !== undefined) requireRange(spec.name, fitted, range);
    return fitted;
  };
  return new Map(wanted.map((spec) => [spec.name, row(spec)]));
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
