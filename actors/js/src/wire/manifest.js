/**
 * The manifest: all that an actor must know of a run, and the policy frame that carries it;
 * SPEC.md, section 7.
 */

import { createHash } from "node:crypto";

import { MAX_DIMENSIONS } from "./arrays.js";
import { DTYPE_NAMES } from "./dtypes.js";
import { RemoteProtocolError } from "./errors.js";
import {
  batchCount,
  binary,
  boolean,
  count,
  dictionary,
  float64,
  integer,
  list,
  name,
  nullable,
  optional,
  positive,
  text,
  withDefault,
} from "./fields.js";
import { readMsgpack } from "./msgpack-reader.js";
import { MsgpackWriter } from "./msgpack-writer.js";
import { Struct, tagged } from "./structs.js";

/**
 * @template S
 * @typedef {import("./fields.js").ValueOf<S>} ValueOf
 */

/** RLlib's id of the only module of a run with one agent. */
export const DEFAULT_MODULE = "default_policy";

// A policy comes from the learner, and has as many parts as the learner's network.
const BOUNDS = { maxDepth: 16, maxNodes: 1_000_000 };

const dtype = text((value) => DTYPE_NAMES.has(value), "a dtype");
const shape = list(batchCount, MAX_DIMENSIONS);
const tensorName = text((value) => value.length >= 1 && value.length <= 512, "a tensor's name");
const tensor = { name: tensorName, dtype, shape };
const tensorSpec = new Struct(tensor);
/** @typedef {ValueOf<typeof tensorSpec>} TensorSpec */

const columnSpec = new Struct({ ...tensor, low: nullable(float64), high: nullable(float64) });
/** @typedef {ValueOf<typeof columnSpec>} ColumnSpec */

const actionRange = new Struct({ low: list(float64), high: list(float64) });

const index = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const indexRange = new Struct({ low: list(index), high: list(index) });
/** @typedef {ValueOf<typeof indexRange>} IndexRange */

const policyGraph = new Struct({
  observations: list(tensorSpec),
  noiseSize: batchCount,
  weights: list(tensorSpec),
  scalars: dictionary(float64),
  recorded: dictionary(text()),
  envAction: tensorSpec,
  maxError: float64,
  states: withDefault(list(tensorSpec), []),
  takesReward: withDefault(boolean, false),
  actionRange: optional(actionRange),
  envActions: optional(list(tensorSpec)),
  actionTuples: optional(list(text())),
  observationRanges: optional(dictionary(indexRange)),
});
/** @typedef {ValueOf<typeof policyGraph>} PolicyGraph */

const moduleManifest = new Struct({
  columns: list(columnSpec),
  graph: policyGraph,
  lookback: withDefault(integer(0, 65_536), 0),
});
/** @typedef {ValueOf<typeof moduleManifest>} ModuleManifest */

const envSteps = integer(1, 2 ** 40);
const flow = tagged("strategy", {
  on_policy: new Struct({
    trainBatchEnvSteps: envSteps,
    overlap: withDefault(float64, 1),
    maxPolicyLag: withDefault(nullable(count), 1),
    cutOnNewWeights: withDefault(boolean, true),
  }),
  asynchronous: new Struct({
    versionEnvSteps: envSteps,
    versionsUnderWay: withDefault(positive, 4),
    maxPolicyLag: withDefault(nullable(count), 16),
    cutOnNewWeights: withDefault(boolean, false),
  }),
  off_policy: new Struct({
    sampleEnvSteps: envSteps,
    samplesUnderWay: withDefault(positive, 4),
    fragmentS: withDefault(positive, 1),
    maxPolicyLag: nullable(count),
    cutOnNewWeights: withDefault(boolean, false),
  }),
});

/** @type {import("./fields.js").Field<string | number | boolean | null>} */
const scalar = {
  read(value, path) {
    if (value === null || ["string", "number", "boolean"].includes(typeof value)) {
      return /** @type {string | number | boolean | null} */ (value);
    }
    throw new RemoteProtocolError("malformed", `'${path}' is not text, a number or a boolean`);
  },
  write(writer, value) {
    if (value === null) writer.nil();
    else if (typeof value === "string") writer.text(value);
    else if (typeof value === "boolean") writer.boolean(value);
    else if (Number.isSafeInteger(value)) writer.integer(value);
    else writer.float64(value);
  },
};

const manifest = new Struct({
  run: name,
  flow,
  modules: dictionary(moduleManifest),
  multiAgent: withDefault(boolean, false),
  infos: withDefault(list(name), []),
  environment: nullable(text()),
  environmentConfig: withDefault(dictionary(scalar), new Map()),
  agents: optional(dictionary(name)),
});
/** @typedef {ValueOf<typeof manifest>} Manifest */

const policy = new Struct({ manifest, graphs: dictionary(binary) });
/** @typedef {ValueOf<typeof policy>} Policy */

/**
 * Returns the policy in a policy frame; every module has a graph and the required columns.
 * @param {Uint8Array} frame
 * @returns {Policy}
 * @throws {RemoteProtocolError} the bytes are not a policy, or a module lacks a graph or a column
 */
export function decodePolicy(frame) {
  const decoded = readPolicy(frame);
  if (decoded.manifest.modules.size === 0) throw invalid("no module");
  for (const [moduleId, module] of decoded.manifest.modules) {
    const fault = decoded.graphs.has(moduleId) ? moduleFault(module) : "has no graph";
    if (fault !== null) throw invalid(`module '${moduleId}' ${fault}`);
  }
  return decoded;
}

/**
 * Returns the policy frame of a manifest and its graphs.
 * @param {Policy} value
 */
export function encodePolicy(value) {
  const writer = new MsgpackWriter();
  policy.write(writer, value);
  return writer.finish();
}

/**
 * Returns the name of a policy frame.
 * @param {Uint8Array} frame
 */
export function policyDigest(frame) {
  return createHash("sha256").update(frame).digest("hex").slice(0, 32);
}

/** @param {Uint8Array} frame */
function readPolicy(frame) {
  try {
    return policy.read(readMsgpack(frame, BOUNDS), "policy");
  } catch (error) {
    if (error instanceof RemoteProtocolError) throw invalid(error.reason);
    throw error;
  }
}

/** @param {ModuleManifest} module */
function moduleFault(module) {
  const names = module.columns.map((column) => column.name);
  if (new Set(names).size !== names.length) return "names a column twice";
  for (const needed of ["obs", "actions", "rewards"]) {
    if (!names.some((each) => each === needed || each.startsWith(`${needed}/`))) {
      return `has no column '${needed}'`;
    }
  }
  return null;
}

/** @param {string} reason */
function invalid(reason) {
  return new RemoteProtocolError("invalid_policy", reason);
}
