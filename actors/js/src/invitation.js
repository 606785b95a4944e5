/**
 * What an actor joins a broker with that asks for keys: one line of text, as `headrace invite` prints
 * it. It holds a secret key, so it belongs in a file that only its user can read, and never on a
 * command line, which every process can see.
 */

import { readFileSync, statSync } from "node:fs";

import { isCurveKey } from "./curve-keys.js";
import { ConfigError } from "./errors.js";

const PREFIX = "headrace-invitation-1:";
const OTHERS_MAY = 0o077;

/**
 * Where to join, as whom, and the keys for it.
 * @typedef {object} Invitation
 * @property {string} address
 * @property {string} name an actor's id is this, or begins with this and a dot
 * @property {string} serverKey
 * @property {string} secretKey
 */

/**
 * Returns what a line says.
 * @param {string} line
 * @returns {Invitation}
 * @throws {ConfigError} it is no invitation for an actor; the message does not repeat the line
 */
export function parseInvitation(line) {
  const text = line.trim();
  if (!text.startsWith(PREFIX)) {
    throw new ConfigError(
      `this is no invitation: one is a line that begins with '${PREFIX}', ` +
        "as `headrace invite` prints it",
    );
  }
  const { address, role, name, server_key, secret_key } = decode(text.slice(PREFIX.length));
  if (role === "learner") {
    throw new ConfigError(
      "this invitation is for a learner: `headrace invite actor NAME` is needed",
    );
  }
  if (role !== "actor" || typeof address !== "string" || !isCurveKey(server_key)) throw damaged();
  if (!isCurveKey(secret_key) || !/^[!-~]{1,128}$/.test(String(name))) throw damaged();
  return { address, name: String(name), serverKey: server_key, secretKey: secret_key };
}

/**
 * Returns the invitation in a file.
 * @param {string} path
 * @throws {ConfigError} it cannot be read, others could read it too, or it is no actor's
 */
export function loadInvitation(path) {
  if (readable(path, () => statSync(path).mode) & OTHERS_MAY) {
    throw new ConfigError(`${path} holds a secret key, and others can read it: chmod 600 ${path}`);
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

/**
 * @param {string} encoded
 * @returns {Record<string, unknown>}
 */
function decode(encoded) {
  try {
    return Object(JSON.parse(Buffer.from(encoded, "base64url").toString("utf8")));
  } catch {
    throw damaged(); // without the cause, whose text might hold a part of the secret
  }
}

function damaged() {
  return new ConfigError("this invitation is damaged; ask for another one");
}
