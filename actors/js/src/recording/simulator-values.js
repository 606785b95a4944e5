/** Reads the rewards and flags that simulators return. */

import { ConfigError } from "../wire/errors.js";

/**
 * Returns a reward as a number.
 * @param {unknown} value
 * @throws {ConfigError} it is not one number, such as null, a text, or a vector, or is not finite in float32
 */
export function rewardOf(value) {
  const isNumber = ["number", "bigint", "boolean"].includes(typeof value);
  const reward = isNumber ? Math.fround(Number(value)) : NaN; // as it is recorded
  if (!Number.isFinite(reward)) {
    throw new ConfigError(
      `the simulator's reward is ${shown(value)}; a reward is one finite number, such as 1.0`,
    );
  }
  return Number(value);
}

/**
 * Returns a flag; an array with one element is its element.
 * @param {string} name `terminated` or `truncated`
 * @param {unknown} value
 * @throws {ConfigError} it is neither true nor false
 */
export function flagOf(name, value) {
  const isList = Array.isArray(value) || ArrayBuffer.isView(value);
  const list = isList ? Array.from(/** @type {any} */ (value)) : [value];
  const [flag] = list;
  if (list.length === 1 && (flag === true || flag === 1)) return true;
  if (list.length === 1 && (flag === false || flag === 0)) return false;
  throw new ConfigError(`the simulator's '${name}' is ${shown(value)}; write true or false`);
}

/** @param {unknown} value */
function shown(value) {
  const isList = Array.isArray(value) || ArrayBuffer.isView(value);
  if (isList) return `[${Array.from(/** @type {any} */ (value)).slice(0, 8)}]`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
