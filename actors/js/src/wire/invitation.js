/**
 * An invitation: one line of text, printed by `headrace invite`, with which an actor joins a broker
 * that requires keys. It holds a secret key, so it belongs in a file that only its user can read,
 * never on a command line, which every process can see.
 */

import { isCurveKey } from "./curve-keys.js";
import { ConfigError } from "./errors.js";

const PREFIX = "headrace-invitation-1:";

/**
 * The broker's address, the invited name, and the keys.
 * @typedef {object} Invitation
 * @property {string} address
 * @property {string} name an actor's id is this, or begins with this and a dot
 * @property {string} serverKey
 * @property {string} secretKey
 */

/**
 * Returns the invitation in a line.
 * @param {string} line
 * @returns {Invitation}
 * @throws {ConfigError} it is not an actor's invitation; the message does not repeat the line
 */
export function parseInvitation(line) {
  const text = line.trim();
  if (!text.startsWith(PREFIX)) {
    throw new ConfigError(
      `this is not an invitation: an invitation is a line that begins with '${PREFIX}', ` +
        "as printed by `headrace invite`",
    );
  }
  const { address, role, name, server_key, secret_key } = decode(text.slice(PREFIX.length));
  if (role === "learner") {
    throw new ConfigError(
      "this invitation is for a learner: `headrace invite actor NAME` makes one for an actor",
    );
  }
  if (role !== "actor" || typeof address !== "string" || !isCurveKey(server_key)) throw damaged();
  if (!isCurveKey(secret_key) || !/^[!-~]{1,128}$/.test(String(name))) throw damaged();
  return { address, name: String(name), serverKey: server_key, secretKey: secret_key };
}

/**
 * @param {string} encoded
 * @returns {Record<string, unknown>}
 */
function decode(encoded) {
  try {
    return Object(JSON.parse(Buffer.from(encoded, "base64url").toString("utf8")));
  } catch {
    throw damaged(); // without the cause, whose text might contain a part of the secret
  }
}

function damaged() {
  return new ConfigError("this invitation is damaged; ask for another one");
}
