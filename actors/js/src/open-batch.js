/** When a batch ends, and whether it is worth sending. */

/** @typedef {import("./client.js").BatchPermit} BatchPermit */
/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./policy-version.js").PolicyVersion} PolicyVersion */
/** @typedef {import("./recorder.js").Recorder} Recorder */

/** A batch in the making: one policy version, within one grant. */
export class OpenBatch {
  #deadlineS;

  /**
   * @param {BatchPermit} permit
   * @param {number} nowS
   */
  constructor(permit, nowS) {
    this.permit = permit;
    this.#deadlineS = nowS + permit.credit.fragmentS;
  }

  /**
   * Returns whether the batch ends now, with so many steps.
   * @param {number} envSteps
   * @param {number} nowS
   * @param {PolicyVersion | null} newest
   */
  isFull(envSteps, nowS, newest) {
    if (envSteps === 0) return false;
    const { update, credit } = this.permit;
    const { cutOnNewWeights } = update.policy.manifest.flow;
    return (
      envSteps >= credit.fragmentSteps ||
      nowS >= this.#deadlineS ||
      (cutOnNewWeights && !update.version.equals(newest))
    );
  }
}

/**
 * Pushes finished batches, unless the broker says already that one would be stale.
 *
 * It never discards two in a row: all batches of a simulator that is slower than the learner's
 * updates are stale, and that is to be seen at the broker.
 */
export class BatchDelivery {
  #client;
  #hasDiscarded = false;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Pushes what was recorded, or discards it; once the client is closed, it is too late for it.
   * @param {BatchPermit} permit
   * @param {Recorder} recorder
   * @param {import("./recorder.js").Rows} observation what the next step will act on
   * @param {string | null} [task] of the assignment that all of its episodes began under
   */
  deliver({ update }, recorder, observation, task = null) {
    if (this.#client.isClosed) return;
    this.#hasDiscarded = !this.#hasDiscarded && this.#client.isOutdated(update.version);
    if (this.#hasDiscarded) {
      this.#client.countUnrecorded(recorder.discardBatch());
    } else {
      const { batch, envSteps } = recorder.takeBatch(observation);
      this.#client.push(batch, update, envSteps, { task });
    }
  }
}
