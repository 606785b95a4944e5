/** Ids of actors. */

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";

import { ConfigError } from "../wire/errors.js";

const LONGEST_ID = 128;

/**
 * Returns the id to use: the given one, or one that no other process has.
 * @param {string | undefined} actor
 * @param {import("../wire/invitation.js").Invitation | undefined} invitation
 * @throws {ConfigError} the id is malformed, or the invitation is for another one
 */
export function actorIdOf(actor, invitation) {
  if (actor === undefined) {
    const id = defaultActorId();
    return invitation === undefined ? id : `${invitation.name}.${id}`.slice(0, LONGEST_ID);
  }
  if (!/^[!-~]{1,128}$/.test(actor)) {
    throw new ConfigError(
      `'${actor}' is not an actor id: write 1 to 128 printable ASCII characters, no space`,
    );
  }
  if (invitation !== undefined && actor !== invitation.name) {
    const prefix = `${invitation.name}.`;
    if (!actor.startsWith(prefix)) {
      throw new ConfigError(
        `the invitation is for '${invitation.name}', not for the actor id '${actor}'; ` +
          `use '${invitation.name}', or an id that begins with '${prefix}'`,
      );
    }
  }
  return actor;
}

function defaultActorId() {
  const host = hostname()
    .replace(/[^!-~]/g, "-")
    .slice(0, 64);
  return `${host}-${process.pid}-${randomBytes(3).toString("hex")}`;
}
