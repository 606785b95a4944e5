/** What a process saw, in a file of its own that outlives it. */

import { openSync, writeSync } from "node:fs";

import { monotonicS } from "../../src/clock.js";

/** Appends entries, each with one write: what was written survives the writer's kill -9. */
export class Diary {
  #file;

  /** @param {string} path */
  constructor(path) {
    this.#file = openSync(path, "a", 0o600);
  }

  /**
   * Appends an entry.
   * @param {string} kind
   * @param {...number} fields
   */
  write(kind, ...fields) {
    writeSync(this.#file, `${JSON.stringify([monotonicS(), kind, ...fields])}\n`);
  }
}
