/** Options of a reset, as in Gymnasium, with the values that every language has. */

import { fault, list, mapOf, name } from "../fields.js";

/** @typedef {null | boolean | number | string} OptionValue */
/** @typedef {Record<string, OptionValue | OptionValue[]>} Options */

/** @type {import("../fields.js").Field<OptionValue>} */
const optionValue = {
  read(value, path) {
    if (value === null || typeof value === "boolean") return value;
    if (typeof value === "number" || typeof value === "string") return value;
    throw fault(path, "null, true, false, a number or text");
  },
  write(writer, value) {
    if (value === null) writer.nil();
    else if (typeof value === "boolean") writer.boolean(value);
    else if (typeof value === "number") writer.number(value);
    else writer.text(value);
  },
};
const optionValues = list(optionValue);

/** @type {import("../fields.js").Field<Options>} */
export const options = {
  read(value, path) {
    const read = Object.entries(mapOf(value, path)).map(([key, member]) => {
      const where = `${path}.${name.read(key, path)}`;
      const field = Array.isArray(member) ? optionValues : optionValue;
      return [key, field.read(member, where)];
    });
    return Object.fromEntries(read);
  },
  write(writer, members) {
    const entries = Object.entries(members);
    writer.map(entries.length);
    for (const [key, member] of entries) {
      writer.text(key);
      if (Array.isArray(member)) optionValues.write(writer, member);
      else optionValue.write(writer, member);
    }
  },
};
