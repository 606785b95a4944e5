/** The file that holds an invitation, and with it a secret key. */

import { readFileSync, statSync } from "node:fs";

import { ConfigError } from "../wire/errors.js";
import { parseInvitation } from "../wire/invitation.js";

const OTHERS_MAY = 0o077;

/**
 * Returns the invitation in a file.
 * @param {string} path
 * @throws {ConfigError} it cannot be read, other users can read it, or it is not an actor's
 */
export function loadInvitation(path) {
  if (readable(path, () => statSync(path).mode) & OTHERS_MAY) {
    throw new ConfigError(
      `${path} holds a secret key, but other users can read it: chmod 600 ${path}`,
    );
  }
  return parseInvitation(readable(path, () => readFileSync(path, "utf8")));
}

/**
 * @template T
 * @param {string} path
 * @param {() => T} read
 */
function readable(path, read) {
  try {
    return read();
  } catch (error) {
    throw new ConfigError(`cannot read the invitation ${path}`, { cause: error });
  }
}
