/** What the learner has assigned, and what the present episodes began under. */

/** @typedef {import("./messages.js").Assignment} Assignment */
/** @typedef {import("./options.js").Options} Options */

/**
 * How to reset a simulator for the episodes that begin now.
 * @typedef {object} Reset
 * @property {string | null} task what its batches name; null if nothing is assigned
 * @property {Options} options for every reset, in Gymnasium's sense
 * @property {number} [seed] for this reset alone; without it, a random one
 */

/** Which assignment the newest episodes began under. */
export class Adoption {
  #number = 0;

  /**
   * Returns whether `adopt` would return another assignment than before.
   * @param {Assignment | null} assignment
   */
  isBehind(assignment) {
    return numberOf(assignment) !== this.#number;
  }

  /**
   * Returns how to reset for the episodes that begin now; the seed only once.
   * @param {Assignment | null} assignment
   * @returns {Reset}
   */
  adopt(assignment) {
    const isNew = this.isBehind(assignment);
    this.#number = numberOf(assignment);
    if (assignment === null) return { task: null, options: {}, seed: undefined };
    const { task, options, seed } = assignment;
    return { task, options, seed: isNew ? seed : undefined };
  }
}

/**
 * Returns the number of an assignment, 0 for none.
 * @param {Assignment | null} assignment
 */
function numberOf(assignment) {
  return assignment === null ? 0 : assignment.number;
}
