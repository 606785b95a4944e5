/** Waits for changes elsewhere in the event loop. */

/** Wakes waiting calls whenever their conditions may have become true. */
export class Change {
  /** @type {Set<() => void>} */
  #waiting = new Set();

  /** Lets all waiting calls check their conditions. */
  notify() {
    for (const look of [...this.#waiting]) look();
  }

  /**
   * Resolves to true once a condition holds, or to false when time is up.
   * @param {() => boolean} condition
   * @param {number} [timeoutS] without it, waits for ever
   * @returns {Promise<boolean>}
   */
  until(condition, timeoutS = Infinity) {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve) => {
      /** @type {NodeJS.Timeout | undefined} */
      let timer;
      const end = (/** @type {boolean} */ isTrue) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(isTrue);
      };
      const look = () => {
        if (condition()) end(true);
      };
      this.#waiting.add(look);
      if (timeoutS !== Infinity) timer = setTimeout(() => end(condition()), 1000 * timeoutS);
    });
  }
}

/** Lets the event loop read its sockets once; a loop of resolved promises would never do so. */
export function nextTurn() {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
