/** Maps with known keys, such as messages; camelCase here, and snake_case on the wire. */

import { RemoteProtocolError } from "./errors.js";
import { fault, mapOf } from "./fields.js";

/** @typedef {import("./msgpack-writer.js").MsgpackWriter} MsgpackWriter */

/**
 * @template T
 * @typedef {import("./fields.js").Field<T>} Field
 */
/**
 * @template F
 * @typedef {import("./fields.js").ValueOf<F>} ValueOf
 */

/**
 * A map with known keys; others are ignored.
 * @template {Record<string, Field<any>>} Members
 */
export class Struct {
  #members;

  /** @param {Members} members */
  constructor(members) {
    this.#members = Object.entries(members).map(([key, field]) => ({
      key,
      field,
      wireKey: key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    }));
  }

  /**
   * @param {unknown} value
   * @param {string} path
   * @returns {{ [Key in keyof Members]: ValueOf<Members[Key]> }}
   */
  read(value, path) {
    const map = mapOf(value, path);
    /** @type {any} */
    const read = {};
    for (const { key, field, wireKey } of this.#members) {
      const where = `${path}.${wireKey}`;
      if (Object.hasOwn(map, wireKey)) read[key] = field.read(map[wireKey], where);
      else if (field.absent !== undefined) read[key] = field.absent();
      else throw new RemoteProtocolError("malformed", `'${where}' is missing`);
    }
    return read;
  }

  /**
   * @param {MsgpackWriter} writer
   * @param {{ [Key in keyof Members]: ValueOf<Members[Key]> }} value
   */
  write(writer, value) {
    writer.map(this.countOf(value));
    this.writeMembers(writer, value);
  }

  /**
   * Returns the number of members that are written.
   * @param {{ [Key in keyof Members]: ValueOf<Members[Key]> }} value
   */
  countOf(value) {
    return this.#written(value).length;
  }

  /**
   * Writes the members without the header of their map.
   * @param {MsgpackWriter} writer
   * @param {{ [Key in keyof Members]: ValueOf<Members[Key]> }} value
   */
  writeMembers(writer, value) {
    for (const { key, field, wireKey } of this.#written(value)) {
      writer.text(wireKey);
      field.write(writer, value[key]);
    }
  }

  /** @param {{ [Key in keyof Members]: ValueOf<Members[Key]> }} value */
  #written(value) {
    return this.#members.filter(({ key, field }) => !field.isOmitted || value[key] !== undefined);
  }
}

/**
 * One of several maps, identified by a tag that comes first.
 * @template {string} Tag
 * @template {Record<string, Struct<any>>} Structs
 * @param {Tag} tag
 * @param {Structs} structs
 * @returns {Field<{
 *   [Name in keyof Structs]: { [_ in Tag]: Name } & ValueOf<Structs[Name]>
 * }[keyof Structs]>}
 */
export function tagged(tag, structs) {
  return {
    read(value, path) {
      const kind = mapOf(value, path)[tag];
      if (typeof kind !== "string" || !Object.hasOwn(structs, kind)) {
        throw fault(`${path}.${tag}`, `one of ${Object.keys(structs).join(", ")}`);
      }
      return /** @type {any} */ ({ [tag]: kind, ...structs[kind].read(value, path) });
    },
    write(writer, value) {
      const struct = structs[value[tag]];
      writer.map(1 + struct.countOf(value));
      writer.text(tag);
      writer.text(String(value[tag]));
      struct.writeMembers(writer, value);
    },
  };
}
