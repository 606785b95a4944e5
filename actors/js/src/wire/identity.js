/** Policy versions. */

/**
 * A version of the policy, ordered by epoch first: the broker grants an epoch to each learner run,
 * so that a version never goes back.
 */
export class PolicyVersion {
  /**
   * @param {number} epoch
   * @param {number} number
   */
  constructor(epoch, number) {
    this.epoch = epoch;
    this.number = number;
  }

  /**
   * Returns less than, equal to or greater than 0, as this is older, equal or newer.
   * @param {PolicyVersion} other
   */
  compare(other) {
    return this.epoch - other.epoch || this.number - other.number;
  }

  /** @param {PolicyVersion | null} other */
  equals(other) {
    return other !== null && this.compare(other) === 0;
  }

  toString() {
    return `${this.epoch}.${this.number}`;
  }
}
