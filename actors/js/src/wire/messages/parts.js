/** The structs that several messages carry. */

import { REJECT_CODES } from "../errors.js";
import {
  batchCount,
  count,
  integer,
  name,
  optional,
  policyVersion,
  positive,
  someSteps,
  text,
  withDefault,
} from "../fields.js";
import { Struct } from "../structs.js";
import { options } from "./options.js";

/**
 * @template S
 * @typedef {import("../fields.js").ValueOf<S>} ValueOf
 */

/** A code; one that a later release has added is read as `other`. */
export const rejectCode = {
  ...text(),
  /** @type {(value: unknown, path: string) => string} */
  read(value, path) {
    const code = text().read(value, path);
    return REJECT_CODES.has(code) ? code : "other";
  },
};

/** A count of batches, 0 by default. */
export const someBatches = withDefault(batchCount, 0);

export const NONE_ENDED = Object.freeze({
  consumed: 0,
  stale: 0,
  rejected: 0,
  dropped: 0,
  stored: 0,
});

/** How the batches up to the acknowledged one ended; they add up to `acknowledged`. */
export const totals = new Struct({
  consumed: someBatches,
  stale: someBatches,
  rejected: someBatches,
  dropped: someBatches,
  stored: someBatches,
});
/** @typedef {ValueOf<typeof totals>} Totals */

/** Permission to begin batches. */
export const credit = new Struct({
  upTo: batchCount,
  fragmentSteps: someSteps,
  fragmentS: positive,
  minVersion: policyVersion,
});
/** @typedef {ValueOf<typeof credit>} Credit */

/** Evaluation episodes that an actor is to run. */
export const evaluationTask = new Struct({
  task: name,
  episodes: someSteps,
  minVersion: policyVersion,
  maxEnvSteps: optional(someSteps),
});

/** The learner's assignment to simulators in training, from their next episodes on. */
export const assignment = new Struct({
  number: integer(1, Number.MAX_SAFE_INTEGER),
  task: name,
  options: withDefault(options, Object.freeze({})),
  seed: optional(count),
});
/** @typedef {ValueOf<typeof assignment>} Assignment */

/** Returns the totals of an actor that has pushed nothing. */
export function noTotals() {
  return { ...NONE_ENDED };
}
