/**
 * Reads the test vectors in a folder, writes the messages again, and compares the bytes.
 *
 *     node tests/vectors.js protocol/vectors
 */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

import { decodePolicy, encodePolicy } from "../src/wire/manifest.js";
import { CONTROL_KINDS, INGEST_KINDS, WEIGHTS_KINDS } from "../src/wire/messages/actor.js";
import {
  answerDecoder,
  controlDecoder,
  encodeHeader,
  ingestDecoder,
  questionDecoder,
  weightsDecoder,
} from "../src/wire/messages/headers.js";
import {
  ANSWER_KINDS,
  decodeActions,
  decodeTurns,
  encodeTurns,
  QUESTION_KINDS,
} from "../src/wire/messages/inference.js";
import { Float64 } from "../src/wire/msgpack-writer.js";
import { encodePayload } from "../src/wire/payload.js";
import { decodeBatch, encodeBatch } from "../src/wire/trajectory.js";
import { decodeWeights } from "../src/wire/weights.js";

/** @typedef {(frame: Uint8Array) => Uint8Array} Copy reads a payload and writes it again */

const DECODERS = [
  ...Object.keys(INGEST_KINDS).map((kind) => ({ kind, decoder: ingestDecoder() })),
  ...Object.keys(CONTROL_KINDS).map((kind) => ({ kind, decoder: controlDecoder() })),
  ...Object.keys(WEIGHTS_KINDS).map((kind) => ({ kind, decoder: weightsDecoder() })),
  ...Object.keys(QUESTION_KINDS).map((kind) => ({ kind, decoder: questionDecoder() })),
  ...Object.keys(ANSWER_KINDS).map((kind) => ({ kind, decoder: answerDecoder() })),
];

/** @type {Copy} */
const copyWeights = (frame) => encodePayload(decodeWeights(frame));
/** @type {Copy} */
const copyPolicy = (frame) => encodePolicy(decodePolicy(frame));
/** @type {Copy} */
const copyTurns = (frame) => encodeTurns(decodeTurns(frame));
/** @type {Copy} */
const copyBatch = (frame) => encodeBatch(decodeBatch(frame));
/** @type {Copy} */
const copyActions = (frame) => {
  // An action of several numbers consists of floats, whole or not.
  const asFloats = [...decodeActions(frame)].map(([agent, action]) => [
    agent,
    Array.isArray(action) ? action.map((value) => new Float64(value)) : action,
  ]);
  return encodePayload(Object.fromEntries(asFloats));
};

/** @type {Readonly<Record<string, Copy[]>>} */
const PAYLOADS = {
  trajectories: [copyBatch],
  weights: [copyWeights],
  snapshot: [copyPolicy, copyWeights],
  act: [copyTurns],
  end: [copyTurns],
  actions: [copyActions],
};

/**
 * Returns the frames of a vector after reading and writing them; null for other peers' kinds.
 * @param {string} kind
 * @param {Uint8Array[]} frames
 */
export function copyFrames(kind, frames) {
  const found = DECODERS.find((each) => each.kind === kind);
  if (found === undefined) return null;
  const { message, payloads } = found.decoder.decode(frames);
  const copies = (PAYLOADS[kind] ?? []).map((copy, index) => copy(payloads[index]));
  return [encodeHeader(message), ...copies];
}

/**
 * Returns the vectors in a folder.
 * @param {string} folder
 */
export function readVectors(folder) {
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => {
    const { frames } = JSON.parse(readFileSync(join(folder, file), "utf8"));
    const bytes = frames.map((/** @type {string} */ hex) => Buffer.from(hex, "hex"));
    const name = basename(file, ".json");
    return { name, kind: name.split(".")[0], frames: /** @type {Buffer[]} */ (bytes) };
  });
}

/** @param {string} folder */
function main(folder) {
  const compared = readVectors(folder).map(({ name, kind, frames }) => {
    const copies = copyFrames(kind, frames);
    const isSame =
      copies !== null &&
      copies.length === frames.length &&
      copies.every((copy, index) => frames[index].equals(copy));
    const verdict = copies === null ? "skipped" : isSame ? "same" : "DIFFERS";
    console.log(`${name}: ${verdict}`);
    return verdict;
  });
  const count = (/** @type {string} */ verdict) =>
    compared.filter((each) => each === verdict).length;
  console.log(`${count("same")} same, ${count("DIFFERS")} differ, ${count("skipped")} skipped`);
  process.exitCode = count("DIFFERS") === 0 && count("same") > 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) main(process.argv[2]);
