/** Encodes and decodes header frames: total, bounded, and by the kinds that an endpoint carries. */

import { RemoteProtocolError } from "../errors.js";
import { DEFAULT_LIMITS } from "../limits.js";
import { readMsgpack } from "../msgpack-reader.js";
import { MsgpackWriter } from "../msgpack-writer.js";
import { isPlainObject } from "../plain-object.js";
import { CONTROL_KINDS, INGEST_KINDS, WEIGHTS_KINDS } from "./actor.js";
import { WIRE_VERSION } from "./base.js";
import { ANSWER_KINDS, QUESTION_KINDS } from "./inference.js";

/** @typedef {import("../limits.js").DecodeLimits} DecodeLimits */
/** @typedef {import("./actor.js").ControlMessage} ControlMessage */
/** @typedef {import("./actor.js").IngestMessage} IngestMessage */
/** @typedef {import("./actor.js").WeightsMessage} WeightsMessage */
/** @typedef {import("./base.js").MessageKind} MessageKind */
/** @typedef {import("./inference.js").Answer} Answer */
/** @typedef {import("./inference.js").Question} Question */

/** @type {Readonly<Record<string, MessageKind>>} */
const SENT_KINDS = { ...INGEST_KINDS, ...QUESTION_KINDS };
const ALL_KINDS = { ...SENT_KINDS, ...CONTROL_KINDS, ...WEIGHTS_KINDS, ...ANSWER_KINDS };

/**
 * Returns the header frame of a message; its payload frames follow it.
 * @param {IngestMessage | ControlMessage | WeightsMessage | Question | Answer} message
 */
export function encodeHeader(message) {
  const { fields } = ALL_KINDS[message.kind];
  const writer = new MsgpackWriter();
  writer.map(2 + fields.countOf(message));
  writer.text("kind");
  writer.text(message.kind);
  fields.writeMembers(writer, message);
  writer.text("wire");
  writer.integer(WIRE_VERSION);
  return writer.finish();
}

/**
 * Decodes the messages of one endpoint in one direction.
 * @template {{ kind: string }} Message
 */
export class MessageDecoder {
  #kinds;
  #limits;

  /**
   * @param {Readonly<Record<string, MessageKind>>} kinds
   * @param {DecodeLimits} limits
   */
  constructor(kinds, limits) {
    this.#kinds = kinds;
    this.#limits = limits;
  }

  /**
   * Returns the message in a header frame, and the payload frames that follow it, undecoded.
   * @param {Uint8Array[]} frames without a topic
   * @returns {{ message: Message, payloads: Uint8Array[] }}
   * @throws {RemoteProtocolError} any bytes that are not a legal message of this endpoint
   */
  decode(frames) {
    const [header, ...payloads] = frames;
    if (header === undefined) throw malformed("a message without frames");
    const map = this.#readHeader(header);
    const { kind, wire } = map;
    if (typeof kind !== "string") throw malformed("a header without a kind");
    checkWireVersion(wire);
    if (!Object.hasOwn(this.#kinds, kind)) {
      throw new RemoteProtocolError("unknown_kind", `unknown kind '${kind.slice(0, 64)}'`);
    }
    const known = this.#kinds[kind];
    if (payloads.length !== known.payloads) {
      throw malformed(`${payloads.length} payload frames; '${kind}' has ${known.payloads}`);
    }
    const message = /** @type {any} */ ({ kind, ...known.fields.read(map, kind) });
    return { message, payloads };
  }

  /** @param {Uint8Array} header */
  #readHeader(header) {
    const { maxHeaderBytes, maxDepth } = this.#limits;
    if (header.length > maxHeaderBytes) {
      const reason = `a header of ${header.length} bytes; the limit is ${maxHeaderBytes}`;
      throw new RemoteProtocolError("oversized", reason);
    }
    // The length of a header bounds its parts: each takes a byte.
    const map = readMsgpack(header, { maxDepth, maxNodes: Infinity });
    if (!isPlainObject(map)) throw malformed("a header that is not a map");
    return map;
  }
}

/** Returns a decoder of the messages that actors push. */
export function ingestDecoder(limits = DEFAULT_LIMITS) {
  return /** @type {MessageDecoder<IngestMessage>} */ (new MessageDecoder(INGEST_KINDS, limits));
}

/** Returns a decoder of the control endpoint's messages, without their topics. */
export function controlDecoder(limits = DEFAULT_LIMITS) {
  return /** @type {MessageDecoder<ControlMessage>} */ (new MessageDecoder(CONTROL_KINDS, limits));
}

/** Returns a decoder of the weights endpoint's messages, without their topics. */
export function weightsDecoder(limits = DEFAULT_LIMITS) {
  return /** @type {MessageDecoder<WeightsMessage>} */ (new MessageDecoder(WEIGHTS_KINDS, limits));
}

/** Returns a decoder of the requests of thin simulators. */
export function questionDecoder(limits = DEFAULT_LIMITS) {
  return /** @type {MessageDecoder<Question>} */ (new MessageDecoder(QUESTION_KINDS, limits));
}

/** Returns a decoder of the answers of policy servers. */
export function answerDecoder(limits = DEFAULT_LIMITS) {
  return /** @type {MessageDecoder<Answer>} */ (new MessageDecoder(ANSWER_KINDS, limits));
}

/** @param {unknown} wire */
function checkWireVersion(wire) {
  if (typeof wire !== "number") throw malformed("a header without a wire version");
  if (wire === WIRE_VERSION) return;
  throw new RemoteProtocolError(
    "unsupported_version",
    `wire version ${wire}; this side speaks ${WIRE_VERSION}: install the same release`,
  );
}

/** @param {string} reason */
function malformed(reason) {
  return new RemoteProtocolError("malformed", reason);
}
