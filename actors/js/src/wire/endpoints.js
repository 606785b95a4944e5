/** The addresses of a broker, and how users write them. */

import { ConfigError } from "./errors.js";

export const DEFAULT_ADDRESS = "tcp://127.0.0.1:5555";

const TCP = /^tcp:\/\/(\[[^\]]+\]|[^:[\]]+):(\d{1,5})$/;
const NAMES = ["ingest", "control", "weights", "learner"];
const HELP =
  "write one base address such as tcp://127.0.0.1:5555 (four consecutive ports), or all four: " +
  "ingest=tcp://H:P,control=tcp://H:P,weights=tcp://H:P,learner=tcp://H:P";

/**
 * The endpoints that an actor connects to.
 * @typedef {object} BrokerAddress
 * @property {string} ingest actors PUSH to it
 * @property {string} control actors SUBSCRIBE to deliveries, rejects and the beacon
 * @property {string} weights actors SUBSCRIBE to snapshots and weights
 */

/**
 * Returns the endpoints in a text: a base address, or `name=endpoint,…` for all four.
 * @param {string} text
 * @returns {BrokerAddress}
 * @throws {ConfigError} it is neither; the message shows both forms
 */
export function parseBrokerAddress(text) {
  return text.includes("=") ? parseNamed(text) : parseBase(text);
}

/** @param {string} text */
function parseBase(text) {
  const match = TCP.exec(text);
  const port = match === null ? 0 : Number(match[2]);
  if (match === null || port === 0 || port + 3 > 65_535) {
    throw new ConfigError(`'${text}' is not a broker's address: ${HELP}`);
  }
  const at = (/** @type {number} */ step) => `tcp://${match[1]}:${port + step}`;
  return { ingest: at(0), control: at(1), weights: at(2) };
}

/** @param {string} text */
function parseNamed(text) {
  const parts = text.split(",").map((part) => part.split("=", 2));
  const endpoints = Object.fromEntries(parts);
  if (parts.length !== NAMES.length || !NAMES.every((name) => Object.hasOwn(endpoints, name))) {
    throw new ConfigError(`'${text}' does not name each of ${NAMES.join(", ")} once: ${HELP}`);
  }
  const { ingest, control, weights } = endpoints;
  return { ingest, control, weights };
}
