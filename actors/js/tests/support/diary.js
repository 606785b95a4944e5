/** The events of a process, in a file that outlives it. */

import { openSync, writeSync } from "node:fs";

import { monotonicS } from "../../src/connection/clock.js";

/** Appends entries, each with one write: they survive a kill -9 of the writer. */
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
