/** The closed set of messages that an actor sends and receives; SPEC.md, section 4. */

import { REJECT_CODES } from "./errors.js";
import {
  batchCount,
  boolean,
  count,
  digest,
  integer,
  name,
  nullable,
  optional,
  policyVersion,
  positive,
  someSteps,
  text,
  withDefault,
} from "./fields.js";
import { options } from "./options.js";
import { Struct } from "./structs.js";

export const WIRE_VERSION = 1;

/**
 * @template S
 * @typedef {import("./fields.js").ValueOf<S>} ValueOf
 */
/**
 * @template {string} Kind
 * @template S
 * @typedef {{ kind: Kind } & ValueOf<S>} MessageOf
 */

const NONE_ENDED = Object.freeze({ consumed: 0, stale: 0, rejected: 0, dropped: 0, stored: 0 });

const wireVersions = withDefault(integer(-(2 ** 53) + 1, 2 ** 53 - 1), WIRE_VERSION);
const wireRange = { wireMin: wireVersions, wireMax: wireVersions };
const noBatches = withDefault(batchCount, 0);
const purpose = withDefault(
  text((value) => value === "train" || value === "evaluate", "train or evaluate"),
  "train",
);

/** A code that a later release has added is read as `other`. */
export const rejectCode = {
  ...text(),
  /** @type {(value: unknown, path: string) => string} */
  read(value, path) {
    const code = text().read(value, path);
    return REJECT_CODES.has(code) ? code : "other";
  },
};

/** How the batches up to the acknowledged one ended; they add up to `acknowledged`. */
const totals = new Struct({
  consumed: noBatches,
  stale: noBatches,
  rejected: noBatches,
  dropped: noBatches,
  stored: noBatches,
});
/** @typedef {ValueOf<typeof totals>} Totals */

/** Permission to begin batches. */
const credit = new Struct({
  upTo: batchCount,
  fragmentSteps: someSteps,
  fragmentS: positive,
  minVersion: policyVersion,
});
/** @typedef {ValueOf<typeof credit>} Credit */

/** What the learner wants simulators to run in training, from their next episodes on. */
export const assignment = new Struct({
  number: integer(1, Number.MAX_SAFE_INTEGER),
  task: name,
  options: withDefault(options, Object.freeze({})),
  seed: optional(count),
});
/** @typedef {ValueOf<typeof assignment>} Assignment */

const evaluationTask = new Struct({ task: name, episodes: someSteps, minVersion: policyVersion });

const actor = { actor: name, incarnation: count };
const presence = {
  ...actor,
  version: nullable(policyVersion),
  policyDigest: nullable(digest),
  lastSeq: noBatches,
  acknowledged: noBatches,
  totals: withDefault(totals, NONE_ENDED),
  envSteps: withDefault(count, 0),
  unrecordedEnvSteps: withDefault(count, 0),
  evaluates: withDefault(boolean, false),
};

const hello = new Struct({
  ...presence,
  ...wireRange,
  client: withDefault(text(), ""),
  host: withDefault(text(), ""),
});
const alive = new Struct(presence);
const goodbye = new Struct({ ...actor, lastSeq: noBatches });
const trajectories = new Struct({
  ...actor,
  seq: integer(1, 2 ** 40),
  run: name,
  version: policyVersion,
  envSteps: someSteps,
  purpose,
  task: nullable(name),
  sentBefore: withDefault(boolean, false),
});

const delivery = new Struct({
  broker: count,
  incarnation: count,
  accepted: batchCount,
  acknowledged: batchCount,
  totals,
  credit: nullable(credit),
  gap: withDefault(boolean, false),
  accepts: withDefault(boolean, true),
  task: nullable(evaluationTask),
  assignment: optional(assignment),
});
const reject = new Struct({
  incarnation: count,
  code: rejectCode,
  reason: text(),
  seq: nullable(batchCount),
});
const beacon = new Struct({
  broker: count,
  ...wireRange,
  run: nullable(name),
  version: nullable(policyVersion),
});

const published = { run: name, version: policyVersion, policyDigest: digest };
const weights = new Struct(published);
const snapshot = new Struct(published);

/** @typedef {MessageOf<"hello", typeof hello>} Hello */
/** @typedef {MessageOf<"alive", typeof alive>} Alive */
/** @typedef {MessageOf<"goodbye", typeof goodbye>} Goodbye */
/** @typedef {MessageOf<"trajectories", typeof trajectories>} Trajectories */
/** @typedef {MessageOf<"delivery", typeof delivery>} Delivery */
/** @typedef {MessageOf<"reject", typeof reject>} Reject */
/** @typedef {MessageOf<"beacon", typeof beacon>} Beacon */
/** @typedef {MessageOf<"weights", typeof weights>} Weights */
/** @typedef {MessageOf<"snapshot", typeof snapshot>} Snapshot */

/** @typedef {Hello | Alive | Goodbye | Trajectories} IngestMessage */
/** @typedef {Delivery | Reject | Beacon} ControlMessage */
/** @typedef {Weights | Snapshot} WeightsMessage */

/**
 * What a header frame may say, and how many payload frames follow it.
 * @typedef {object} MessageKind
 * @property {Struct<any>} fields
 * @property {number} payloads
 */

/** @type {Readonly<Record<string, MessageKind>>} */
export const INGEST_KINDS = {
  hello: { fields: hello, payloads: 0 },
  alive: { fields: alive, payloads: 0 },
  goodbye: { fields: goodbye, payloads: 0 },
  trajectories: { fields: trajectories, payloads: 1 },
};

/** @type {Readonly<Record<string, MessageKind>>} */
export const CONTROL_KINDS = {
  delivery: { fields: delivery, payloads: 0 },
  reject: { fields: reject, payloads: 0 },
  beacon: { fields: beacon, payloads: 0 },
};

/** @type {Readonly<Record<string, MessageKind>>} */
export const WEIGHTS_KINDS = {
  weights: { fields: weights, payloads: 1 },
  snapshot: { fields: snapshot, payloads: 2 },
};

/** The totals of who has pushed nothing. */
export function noTotals() {
  return { ...NONE_ENDED };
}
