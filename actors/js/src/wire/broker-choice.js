/** Which of several brokers an actor uses: rendezvous hashing (SPEC.md, section 2). */

import { createHash } from "node:crypto";

import { ConfigError } from "./errors.js";

const ENDPOINTS = 4;

/**
 * Returns the addresses of a list, or of a text in which commas separate them. An address that
 * names its four endpoints, `ingest=…,control=…,weights=…,learner=…`, contains commas itself.
 * @param {string | readonly string[]} address
 * @returns {string[]}
 * @throws {ConfigError} there is no address, or one is given twice
 */
export function splitAddresses(address) {
  const texts = typeof address === "string" ? [address] : address;
  const addresses = texts.flatMap(splitText);
  if (addresses.length === 0) {
    throw new ConfigError(
      "no broker's address is given; write one such as tcp://127.0.0.1:5555",
    );
  }
  const twice = addresses.find((one, at) => addresses.indexOf(one) !== at);
  if (twice !== undefined) throw new ConfigError(`the broker ${twice} is given twice`);
  return addresses;
}

/**
 * Returns the address that an actor uses, whatever their order.
 * @param {readonly string[]} addresses
 * @param {string} actor
 * @returns {string}
 */
export function chooseBroker(addresses, actor) {
  const score = (/** @type {string} */ address) =>
    createHash("sha256").update(`${address} ${actor}`).digest("hex");
  return addresses.reduce((best, address) => (score(address) > score(best) ? address : best));
}

/** @param {string} text */
function splitText(text) {
  /** @type {string[]} */
  const addresses = [];
  let named = 0;
  for (const part of text.split(",").map((one) => one.trim())) {
    const isNamed = part.includes("=");
    if (isNamed && named % ENDPOINTS !== 0) {
      addresses[addresses.length - 1] += `,${part}`;
    } else {
      addresses.push(part);
    }
    named = isNamed ? named + 1 : 0;
  }
  return addresses;
}
