/** The weights frame: tensors by module id and name. */

import { NdArray } from "./arrays.js";
import { RemoteProtocolError } from "./errors.js";
import { decodePayload } from "./payload.js";

/** @typedef {Map<string, Map<string, NdArray>>} ModuleWeights */

/**
 * Returns the weights in a payload frame.
 * @param {Uint8Array} frame
 * @param {import("./limits.js").DecodeLimits} [limits]
 * @returns {ModuleWeights}
 * @throws {RemoteProtocolError} the payload is malformed
 */
export function decodeWeights(frame, limits) {
  const modules = decodePayload(frame, limits);
  for (const tensors of modules.values()) {
    if (!(tensors instanceof Map)) throw fault("a module that is not a map");
    for (const tensor of tensors.values()) {
      if (!(tensor instanceof NdArray)) throw fault("a tensor that is not an array");
    }
  }
  return /** @type {ModuleWeights} */ (modules);
}

/** @param {string} what */
function fault(what) {
  return new RemoteProtocolError("malformed", `weights with ${what}`);
}
