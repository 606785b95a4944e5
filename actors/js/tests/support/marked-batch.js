/** Batches that say in their content who made them, so that no header has to be believed. */

import { DEFAULT_AGENT } from "../../src/inference-messages.js";
import { DEFAULT_MODULE } from "../../src/manifest.js";
import { NdArray } from "../../src/nd-array.js";

const NUMBER_BASE = 2 ** 20;
const REWARDS = 1000;

/**
 * Returns one chunk of an episode of its own, with its origin in every observation.
 * @param {{ actor: number, life: number, number: number }} origin
 * @param {number} envSteps
 * @param {import("../../src/manifest.js").Manifest} manifest
 * @returns {import("../../src/trajectory.js").TrajectoryBatch}
 */
export function markedBatch(origin, envSteps, manifest) {
  const module = manifest.modules.get(DEFAULT_MODULE);
  if (module === undefined) throw new Error("a manifest without the default module");
  const columns = new Map(
    module.columns.map(({ name, dtype, shape }) => [
      name,
      NdArray.zeros(dtype, [envSteps, ...shape]),
    ]),
  );
  columns.set("obs", observations(origin, envSteps + 1));
  columns.get("rewards")?.values.fill(/** @type {never} */ (origin.number % REWARDS));
  return new Map([[DEFAULT_MODULE, { chunks: [chunkOf(origin, envSteps)], columns }]]);
}

/**
 * @param {{ actor: number, life: number, number: number }} origin
 * @param {number} rows
 */
function observations({ actor, life, number }, rows) {
  const mark = [actor, life, Math.floor(number / NUMBER_BASE), number % NUMBER_BASE];
  const values = Float32Array.from({ length: 4 * rows }, (_, index) => mark[index % 4]);
  return new NdArray("float32", [rows, 4], values);
}

/**
 * @param {{ actor: number, number: number }} origin
 * @param {number} length
 * @returns {import("../../src/trajectory.js").Chunk}
 */
function chunkOf({ actor, number }, length) {
  const name = BigInt64Array.of(BigInt(actor), BigInt(number));
  return {
    agent: DEFAULT_AGENT,
    episodeId: new Uint8Array(name.buffer),
    envTStarted: 0,
    tStarted: 0,
    length,
    lookback: 0,
    terminated: true,
    truncated: false,
    episodeLength: length,
    episodeReturn: length,
    episodeS: 1,
  };
}
