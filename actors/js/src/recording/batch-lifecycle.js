/** The life of a batch: begun with credit, full, then stale or delivered. */

/** @typedef {import("../connection/client.js").BatchPermit} BatchPermit */
/** @typedef {import("../connection/client.js").Client} Client */
/** @typedef {import("../wire/identity.js").PolicyVersion} PolicyVersion */
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
   * Returns whether the batch ends now, with `envSteps` recorded.
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
 * Pushes finished batches, or discards those that would be stale on arrival.
 *
 * It never discards two in a row: all batches of a simulator that is slower than the learner's
 * updates are stale, and the broker has to see that.
 */
export class BatchDelivery {
  #client;
  #hasDiscarded = false;

  /** @param {Client} client */
  constructor(client) {
    this.#client = client;
  }

  /**
   * Pushes the recorded steps, or discards them; does nothing once the client is closed.
   * @param {BatchPermit} permit
   * @param {Recorder} recorder
   * @param {import("../wire/trajectory.js").Rows} observation before the next step
   * @param {string | null} [task] of the assignment under which all of its episodes began
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
