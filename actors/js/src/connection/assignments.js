/** The learner's assignments, and the one under which the present episodes began. */

/** @typedef {import("../wire/messages/parts.js").Assignment} Assignment */
/** @typedef {import("../wire/messages/options.js").Options} Options */

/**
 * How to reset a simulator for the episodes that begin now.
 * @typedef {object} Reset
 * @property {string | null} task the task that its batches name; null if nothing is assigned
 * @property {Options} options for every reset, as in Gymnasium
 * @property {number} [seed] for this reset alone; without it, a random one
 */

/** Which assignment the newest episodes began under. */
export class Adoption {
  #number = 0;

  /**
   * Returns whether the newest episodes began under another assignment.
   * @param {Assignment | null} assignment
   */
  isBehind(assignment) {
    return numberOf(assignment) !== this.#number;
  }

  /**
   * Returns how to reset for the episodes that begin now; only the first reset has the seed.
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
