/** Columnar trajectory batches: one array per column for all chunks of a module; SPEC.md, section 6. */

import { NdArray } from "./arrays.js";
import { LocalProtocolError, RemoteProtocolError } from "./errors.js";
import { decodePayload, encodePayload } from "./payload.js";

/** The only agent of a run with one agent. */
export const DEFAULT_AGENT = "default_agent";
export const EPISODE_ID_BYTES = 16;

/** @typedef {number | bigint | boolean | ArrayLike<number | bigint>} Row one step's value of a column */
/** @typedef {Readonly<Record<string, Row>>} Rows by column name */

/**
 * A contiguous slice of one agent's episode, recorded under one policy version.
 * @typedef {object} Chunk
 * @property {string} agent
 * @property {Uint8Array} episodeId 16 random bytes, equal for all chunks of an episode
 * @property {number} envTStarted the episode's env step at the first trained step
 * @property {number} tStarted the same in the agent's own steps
 * @property {number} length trained steps
 * @property {number} lookback context steps before them
 * @property {boolean} terminated whether the episode ended with this chunk, in Gymnasium's sense
 * @property {boolean} truncated the same, but cut off
 * @property {number} episodeLength agent steps of the whole episode if it ended, else 0
 * @property {number} episodeReturn of the whole episode if it ended, else NaN
 * @property {number} episodeS duration of the whole episode in seconds if it ended, else NaN
 */

/**
 * The chunks of one module. Arrays have the rows of one chunk after the other: lookback + length +
 * 1 for observations, lookback + length for all others.
 * @typedef {object} ModuleTrajectories
 * @property {Chunk[]} chunks
 * @property {Map<string, NdArray>} columns
 */

/** @typedef {Map<string, ModuleTrajectories>} TrajectoryBatch by module id */

const INTEGERS_PER_CHUNK = 8;
const FLOATS_PER_CHUNK = 2;

/** The end of a chunk whose episode continues. */
export const UNENDED = Object.freeze({
  terminated: false,
  truncated: false,
  episodeLength: 0,
  episodeReturn: NaN,
  episodeS: NaN,
});

/**
 * Returns whether a column has another row per chunk, for the moment after the last step.
 * @param {string} column
 */
export function hasLastRow(column) {
  return column === "obs" || column.startsWith("obs/") || column === "env_t";
}

/**
 * Returns the payload frame of a batch.
 * @param {TrajectoryBatch} batch
 * @throws {LocalProtocolError} a module has no chunks, or a number is not an integer
 */
export function encodeBatch(batch) {
  /** @type {Map<string, unknown>} */
  const tree = new Map();
  for (const [moduleId, { chunks, columns }] of batch) {
    tree.set(moduleId, { chunks: packChunks(chunks), columns });
  }
  return encodePayload(tree);
}

/**
 * Returns the batch in a payload frame.
 * @param {Uint8Array} frame
 * @returns {TrajectoryBatch}
 * @throws {RemoteProtocolError} the bytes are not a batch
 */
export function decodeBatch(frame) {
  const batch = new Map();
  for (const [moduleId, part] of decodePayload(frame)) {
    const columns = member(part, "columns");
    if (!(columns instanceof Map)) throw fault("a module without 'columns'");
    for (const column of columns.values()) {
      if (!(column instanceof NdArray)) throw fault("a column that is not an array");
    }
    batch.set(moduleId, { chunks: unpackChunks(member(part, "chunks")), columns });
  }
  return batch;
}

/** @param {Chunk[]} chunks */
function packChunks(chunks) {
  if (chunks.length === 0) throw new LocalProtocolError("a batch needs at least one step");
  const agents = [...new Set(chunks.map((chunk) => chunk.agent))];
  const episodeIds = chunks.flatMap((chunk) => [...chunk.episodeId]);
  const integers = chunks.flatMap((chunk) => [
    agents.indexOf(chunk.agent),
    chunk.envTStarted,
    chunk.tStarted,
    chunk.length,
    chunk.lookback,
    Number(chunk.terminated),
    Number(chunk.truncated),
    chunk.episodeLength,
  ]);
  const floats = chunks.flatMap((chunk) => [chunk.episodeReturn, chunk.episodeS]);
  return {
    agents,
    episode_id: table("uint8", EPISODE_ID_BYTES, Uint8Array.from(episodeIds)),
    integers: table("int64", INTEGERS_PER_CHUNK, BigInt64Array.from(integers.map(toBigInt))),
    floats: table("float64", FLOATS_PER_CHUNK, Float64Array.from(floats)),
  };
}

/**
 * @param {string} dtype
 * @param {number} width
 * @param {Uint8Array | BigInt64Array | Float64Array} values
 */
function table(dtype, width, values) {
  return new NdArray(dtype, [values.length / width, width], values);
}

/** @param {number} value */
function toBigInt(value) {
  if (!Number.isSafeInteger(value)) throw new LocalProtocolError(`${value} in a chunk table`);
  return BigInt(value);
}

/**
 * @param {unknown} packed
 * @returns {Chunk[]}
 */
function unpackChunks(packed) {
  const agents = member(packed, "agents");
  const integers = rows(member(packed, "integers"), "int64", INTEGERS_PER_CHUNK);
  const floats = rows(member(packed, "floats"), "float64", FLOATS_PER_CHUNK);
  const episodeIds = rows(member(packed, "episode_id"), "uint8", EPISODE_ID_BYTES);
  if (integers.length !== floats.length || integers.length !== episodeIds.length) {
    throw fault("a ragged chunk table");
  }
  return integers.map((row, index) => {
    const [agent, envTStarted, tStarted, length, lookback, terminated, truncated, episodeLength] =
      Array.from(row, countOf);
    const [episodeReturn, episodeS] = Array.from(floats[index], Number);
    const name = Array.isArray(agents) ? agents[agent] : undefined;
    if (typeof name !== "string") throw fault("an 'agent' index outside 'agents'");
    return {
      agent: name,
      episodeId: Uint8Array.from(episodeIds[index], Number),
      envTStarted,
      tStarted,
      length,
      lookback,
      terminated: terminated === 1,
      truncated: truncated === 1,
      episodeLength,
      episodeReturn,
      episodeS,
    };
  });
}

/**
 * @param {unknown} array
 * @param {string} dtype
 * @param {number} width
 * @returns {ArrayLike<number | bigint>[]}
 */
function rows(array, dtype, width) {
  if (!(array instanceof NdArray) || array.dtype !== dtype || array.shape[1] !== width) {
    throw fault(`an array that is not ${dtype} of shape [n, ${width}]`);
  }
  const { values, shape } = array;
  return Array.from({ length: shape[0] }, (_, row) => values.slice(row * width, (row + 1) * width));
}

/**
 * @param {unknown} map
 * @param {string} key
 */
function member(map, key) {
  if (!(map instanceof Map)) throw fault("something other than a map");
  return map.get(key);
}

/** @param {number | bigint} value */
function countOf(value) {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 0) throw fault(`${value} in its chunk table`);
  return number;
}

/** @param {string} what */
function fault(what) {
  return new RemoteProtocolError("invalid_batch", `the batch has ${what}`);
}
