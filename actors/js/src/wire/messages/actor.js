/** The messages between an actor and a broker; SPEC.md, section 4. */

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
} from "../fields.js";
import { Struct } from "../structs.js";
import { WIRE_VERSION } from "./base.js";
import {
  assignment,
  credit,
  evaluationTask,
  NONE_ENDED,
  rejectCode,
  someBatches,
  totals,
} from "./parts.js";

/** @typedef {import("./base.js").MessageKind} MessageKind */

/**
 * @template {string} Kind
 * @template S
 * @typedef {import("./base.js").MessageOf<Kind, S>} MessageOf
 */

const wireVersions = withDefault(integer(-(2 ** 53) + 1, 2 ** 53 - 1), WIRE_VERSION);
const wireRange = { wireMin: wireVersions, wireMax: wireVersions };
const purpose = withDefault(
  text((value) => value === "train" || value === "evaluate", "train or evaluate"),
  "train",
);

const actor = { actor: name, incarnation: count };
const presence = {
  ...actor,
  version: nullable(policyVersion),
  policyDigest: nullable(digest),
  lastSeq: someBatches,
  acknowledged: someBatches,
  totals: withDefault(totals, NONE_ENDED),
  envSteps: withDefault(count, 0),
  unrecordedEnvSteps: withDefault(count, 0),
  evaluates: withDefault(boolean, false),
  brokenEpisodes: optional(count),
};

const hello = new Struct({
  ...presence,
  ...wireRange,
  client: withDefault(text(), ""),
  host: withDefault(text(), ""),
});
const alive = new Struct(presence);
const goodbye = new Struct({ ...actor, lastSeq: someBatches });
const trajectories = new Struct({
  ...actor,
  seq: integer(1, 2 ** 40),
  run: name,
  version: policyVersion,
  envSteps: someSteps,
  purpose,
  task: nullable(name),
  sentBefore: withDefault(boolean, false),
  compression: optional(name),
  more: optional(boolean),
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
  learner: optional(boolean),
  maxPayloadBytes: optional(count),
  presenceS: optional(positive),
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
