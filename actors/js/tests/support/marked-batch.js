/** Batches with their origin in their content, so that tests need not trust headers. */

import { NdArray } from "../../src/wire/arrays.js";
import { DEFAULT_MODULE } from "../../src/wire/manifest.js";
import { DEFAULT_AGENT } from "../../src/wire/trajectory.js";

const NUMBER_BASE = 2 ** 20;
const REWARDS = 1000;

/**
 * Returns a batch of one chunk, a whole episode, with its origin in every observation.
 * @param {{ actor: number, life: number, number: number }} origin
 * @param {number} envSteps
 * @param {import("../../src/wire/manifest.js").Manifest} manifest
 * @returns {import("../../src/wire/trajectory.js").TrajectoryBatch}
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
 * @returns {import("../../src/wire/trajectory.js").Chunk}
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
