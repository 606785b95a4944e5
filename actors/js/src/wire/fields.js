/**
 * The types of the fields in messages. One description of each serves to read, check and write it.
 */

import { RemoteProtocolError } from "./errors.js";
import { PolicyVersion } from "./identity.js";
import { isBinaryKey } from "./msgpack-reader.js";
import { isPlainObject } from "./plain-object.js";

/** @typedef {import("./msgpack-writer.js").MsgpackWriter} MsgpackWriter */

/**
 * @template T
 * @typedef {object} Field
 * @property {(value: unknown, path: string) => T} read checks a decoded value
 * @property {(writer: MsgpackWriter, value: T) => void} write
 * @property {() => T} [absent] the value of a missing key; without it the key is required
 * @property {boolean} [isOmitted] whether undefined is written as no key at all
 */

/**
 * @template F
 * @typedef {F extends { read: (value: unknown, path: string) => infer T } ? T : never} ValueOf
 */

const LONGEST_TEXT = 4096;

/**
 * @param {number} least
 * @param {number} most
 * @returns {Field<number>}
 */
export function integer(least, most) {
  return {
    read(value, path) {
      if (!Number.isInteger(value) || Number(value) < least || Number(value) > most) {
        throw fault(path, `an integer from ${least} to ${most}`);
      }
      return Number(value);
    },
    write: (writer, value) => writer.integer(value),
  };
}

/** A sequence number, a count, or a random identity such as an incarnation. */
export const count = integer(0, Number.MAX_SAFE_INTEGER);
/** A sequence number, or a count of batches of one actor. */
export const batchCount = integer(0, 2 ** 40);
/** Env steps of a batch, at least 1. */
export const someSteps = integer(1, 2 ** 31);

const epoch = integer(0, 2 ** 32);

/** @type {Field<number>} */
export const float64 = {
  read(value, path) {
    if (typeof value !== "number") throw fault(path, "a number");
    return value;
  },
  write: (writer, value) => writer.float64(value),
};

/** @type {Field<number>} */
export const positive = {
  read(value, path) {
    if (typeof value !== "number" || !(value > 0)) throw fault(path, "a number above 0");
    return value;
  },
  write: (writer, value) => writer.float64(value),
};

/** @type {Field<boolean>} */
export const boolean = {
  read(value, path) {
    if (typeof value !== "boolean") throw fault(path, "true or false");
    return value;
  },
  write: (writer, value) => writer.boolean(value),
};

/** @type {Field<Uint8Array>} */
export const binary = {
  read(value, path) {
    if (!(value instanceof Uint8Array)) throw fault(path, "binary");
    return value;
  },
  write: (writer, value) => writer.binary(value),
};

/**
 * Text that passes a check.
 * @param {(text: string) => boolean} isLegal
 * @param {string} what
 * @returns {Field<string>}
 */
export function text(isLegal = (value) => value.length <= LONGEST_TEXT, what = "short text") {
  return {
    read(value, path) {
      if (typeof value !== "string" || !isLegal(value)) throw fault(path, what);
      return value;
    },
    write: (writer, value) => writer.text(value),
  };
}

/** An id of an actor, a run, a module or an episode. */
export const name = text((value) => /^[!-~]{1,128}$/.test(value), "a name without space");
/** A hash. */
export const digest = text((value) => /^[0-9a-f]{8,128}$/.test(value), "hexadecimal digits");

/** @type {Field<PolicyVersion>} */
export const policyVersion = {
  read(value, path) {
    if (!Array.isArray(value) || value.length < 2) throw fault(path, "a policy version");
    return new PolicyVersion(epoch.read(value[0], path), batchCount.read(value[1], path));
  },
  write(writer, version) {
    writer.list(2);
    writer.integer(version.epoch);
    writer.integer(version.number);
  },
};

/**
 * A field that may be nil or missing, and is null then.
 * @template T
 * @param {Field<T>} field
 * @returns {Field<T | null>}
 */
export function nullable(field) {
  return {
    absent: () => null,
    read: (value, path) => (value === null ? null : field.read(value, path)),
    write: (writer, value) => (value === null ? writer.nil() : field.write(writer, value)),
  };
}

/**
 * A field that may be missing, and has a default then.
 * @template T
 * @param {Field<T>} field
 * @param {T} value
 * @returns {Field<T>}
 */
export function withDefault(field, value) {
  return {
    absent: () => value,
    read: (member, path) => field.read(member, path),
    write: (writer, member) => field.write(writer, member),
  };
}

/**
 * A field that may be missing, and is undefined then.
 * @template T
 * @param {Field<T>} field
 * @returns {Field<T | undefined>}
 */
export function optional(field) {
  return {
    absent: () => undefined,
    isOmitted: true,
    read: (value, path) => field.read(value, path),
    write: (writer, value) => value !== undefined && field.write(writer, value),
  };
}

/**
 * @template T
 * @param {Field<T>} field
 * @param {number} longest
 * @returns {Field<T[]>}
 */
export function list(field, longest = Infinity) {
  return {
    read(value, path) {
      if (!Array.isArray(value) || value.length > longest) throw fault(path, "a list");
      return value.map((member) => field.read(member, path));
    },
    write(writer, members) {
      writer.list(members.length);
      for (const member of members) field.write(writer, member);
    },
  };
}

/**
 * A map with any keys.
 * @template T
 * @param {Field<T>} field
 * @returns {Field<Map<string, T>>}
 */
export function dictionary(field) {
  return {
    read(value, path) {
      const read = new Map();
      for (const [key, member] of Object.entries(mapOf(value, path))) {
        if (isBinaryKey(key)) throw fault(path, "a map with text as keys");
        read.set(key, field.read(member, `${path}.${key}`));
      }
      return read;
    },
    write(writer, map) {
      writer.map(map.size);
      for (const [key, member] of map) {
        writer.text(key);
        field.write(writer, member);
      }
    },
  };
}

/**
 * @param {unknown} value
 * @param {string} path
 * @returns {Record<string, unknown>}
 * @throws {RemoteProtocolError} it is not a map
 */
export function mapOf(value, path) {
  if (!isPlainObject(value)) throw fault(path, "a map");
  return value;
}

/**
 * @param {string} path
 * @param {string} wanted
 */
export function fault(path, wanted) {
  return new RemoteProtocolError("malformed", `'${path}' is not ${wanted}`);
}
