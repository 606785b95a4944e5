import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { NdArray } from "../src/wire/arrays.js";
import { RemoteProtocolError } from "../src/wire/errors.js";
import { DEFAULT_LIMITS } from "../src/wire/limits.js";
import { decodePolicy } from "../src/wire/manifest.js";
import { controlDecoder, encodeHeader } from "../src/wire/messages/headers.js";
import { Float64 } from "../src/wire/msgpack-writer.js";
import { decodePayload, encodePayload } from "../src/wire/payload.js";
import { seeded } from "./support/random.js";
import { VECTORS } from "./support/vectors-folder.js";
import { copyFrames, readVectors } from "./vectors.js";

const MUTATIONS_PER_VECTOR = 400;
const vectors = readVectors(fileURLToPath(VECTORS));

/** @param {unknown} value */
function hexOf(value) {
  return Buffer.from(encodePayload({ v: value }))
    .toString("hex")
    .slice("81a176".length);
}

/** @param {number[]} bytes */
function frameOf(...bytes) {
  return Uint8Array.from(bytes);
}

/**
 * @param {() => unknown} read
 * @param {string} code
 */
function assertFault(read, code) {
  assert.throws(read, (error) => error instanceof RemoteProtocolError && error.code === code);
}

test("a vector is the same after it was read and written", () => {
  for (const { kind, frames } of vectors) {
    const copies = copyFrames(kind, frames);
    if (copies !== null) assert.deepEqual(copies.map(hex), frames.map(hex), kind);
  }
});

test("any bytes are a message or a fault of the peer", (context) => {
  const seed = Date.now() % 2 ** 32;
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  for (const { kind, frames } of vectors) {
    for (let round = 0; round < MUTATIONS_PER_VECTOR; round += 1) {
      const mutated = frames.map((frame) => mutate(frame, random));
      try {
        copyFrames(kind, mutated);
      } catch (error) {
        const bytes = mutated.map(hex).join(" ");
        assert.ok(error instanceof RemoteProtocolError, `seed ${seed}, ${kind} ${bytes}: ${error}`);
      }
    }
  }
});

test("integers have their shortest form, at every border", () => {
  const borders = new Map([
    [127, "7f"],
    [128, "cc80"],
    [256, "cd0100"],
    [65_536, "ce00010000"],
    [2 ** 32, "cf0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
    [-32, "e0"],
    [-33, "d0df"],
    [-129, "d1ff7f"],
    [-32_769, "d2ffff7fff"],
    [-(2 ** 31) - 1, "d3ffffffff7fffffff"],
  ]);
  for (const [value, bytes] of borders) {
    assert.equal(hexOf(value), bytes);
    assert.equal(decodePayload(encodePayload({ v: value })).get("v"), value);
  }
});

test("a whole float stays a float", () => {
  assert.equal(hexOf(new Float64(1)), "cb3ff0000000000000");
  assert.equal(hexOf(-0), "cb8000000000000000");
});

test("long texts, lists and maps come back as they were", () => {
  const tree = {
    text: "ü".repeat(40_000),
    list: Array.from({ length: 300 }, (_, index) => index),
    map: Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`k${index}`, null])),
  };
  const read = decodePayload(encodePayload(tree), { ...DEFAULT_LIMITS });
  assert.deepEqual({ ...Object.fromEntries(read), map: Object.fromEntries(mapIn(read)) }, tree);
});

test("arrays come back as they were, at any offset in the frame", () => {
  const arrays = {
    a: new NdArray("int64", [2], BigInt64Array.of(-1n, 2n ** 62n)),
    bc: new NdArray("float32", [1, 3], Float32Array.of(0.5, -1, 2)),
    def: new NdArray("bool", [2], Uint8Array.of(0, 1)),
    ghij: new NdArray("complex64", [1], Float32Array.of(1, -1)),
  };
  assert.deepEqual(Object.fromEntries(decodePayload(encodePayload(arrays))), arrays);
});

test("the byte order of an array is reversed if necessary", () => {
  const big = Buffer.from(encodePayload({ v: new NdArray("int16", [1], Int16Array.of(0x0102)) }));
  big[big.indexOf("<")] = ">".charCodeAt(0);
  const read = decodePayload(big).get("v");
  assert.deepEqual(read instanceof NdArray && [...read.values], [0x0201]);
});

test("illegal content of a payload is a fault", () => {
  assertFault(() => decodePayload(frameOf(0x93, 1, 2, 3)), "malformed");
  assertFault(() => decodePayload(frameOf(0x81, 0xa1, 0x76, 0xd4, 1, 2)), "malformed"); // extension
  assertFault(() => decodePayload(frameOf(0x81, 0xa1, 0x76, 0xd6, 255, 0, 0, 0, 0)), "malformed"); // timestamp
  assertFault(() => decodePayload(frameOf(0x81, 1, 2)), "malformed"); // a key that is no text
  assertFault(() => decodePayload(frameOf(0x81, 0xc4, 1, 0x76, 2)), "malformed"); // nor an array's
  assertFault(
    () => decodePayload(frameOf(0x81, 0xa5, 0xed, 0xa0, 0x80, 0x6e, 0x64, 2)),
    "malformed",
  ); // a pose
  assertFault(() => decodePayload(frameOf(0x80, 0xc0)), "malformed"); // bytes after the end
  assertFault(() => decodePayload(frameOf(0x81, 0xa1, 0xff, 0xc0)), "malformed"); // no UTF-8
  assertFault(() => decodePayload(frameOf(0x81, 0xa1, 0x76, 0xa2, 0xc1, 0x81)), "malformed"); // nor this
});

test("keys that mean something to JavaScript mean nothing here", () => {
  assertFault(() => decodePayload(encodePayload(new Map([["__proto__", { x: 1 }]]))), "malformed");
  const tree = new Map([
    ["constructor", 1],
    ["toString", 2],
    ["\0nd", 3],
  ]);
  assert.deepEqual(decodePayload(encodePayload(tree)), tree);
  const twice = frameOf(0x82, 0xa1, 0x76, 1, 0xa1, 0x76, 2);
  assert.deepEqual(decodePayload(twice), new Map([["v", 2]]));
});

test("an integer that a number cannot represent is refused", () => {
  const beacon = Buffer.from(header({ kind: "beacon", wire: 1, broker: Number.MAX_SAFE_INTEGER }));
  assert.ok(controlDecoder().decode([beacon]));
  beacon.writeBigUInt64BE(2n ** 53n, beacon.length - 8);
  assertFault(() => controlDecoder().decode([beacon]), "malformed");
});

test("lists inside lists are refused before they are built", () => {
  const deep = new Uint8Array(2 ** 20).fill(0x91);
  const wide = Uint8Array.from(
    { length: 3 * 2 ** 16 },
    (_, index) => [0xdc, 0x0f, 0xff][index % 3],
  );
  const before = process.memoryUsage().heapUsed;
  for (const frame of [deep, wide]) {
    assertFault(() => decodePayload(frame), "oversized");
    assertFault(() => controlDecoder().decode([frame]), "oversized");
    assertFault(() => decodePolicy(frame), "invalid_policy");
  }
  assert.ok(process.memoryUsage().heapUsed - before < 2 ** 22);
});

test("limits hold before memory is taken", () => {
  assertFault(
    () => decodePayload(frameOf(0x81, 0xa1, 0x76, 0xdd, 255, 255, 255, 255)),
    "oversized",
  );
  assertFault(() => decodePayload(encodePayload({ v: nested(8) })), "oversized");
  assert.ok(decodePayload(encodePayload({ v: nested(7) })));
  const many = Array.from({ length: 4096 }, () => 0);
  assertFault(() => decodePayload(encodePayload({ v: many })), "oversized");
  const cube = new NdArray("int8", [1, 1, 1, 1, 1, 1, 1, 1], Int8Array.of(1));
  const arrays = Object.fromEntries(Array.from(many.slice(1), (_, index) => [`a${index}`, cube]));
  assert.equal(decodePayload(encodePayload(arrays)).size, 4095);
  const small = { ...DEFAULT_LIMITS, maxPayloadBytes: 3, maxHeaderBytes: 3 };
  assertFault(() => decodePayload(encodePayload({ v: "long" }), small), "oversized");
  assertFault(() => controlDecoder(small).decode([frameOf(0x80, 0, 0, 0)]), "oversized");
});

test("each fault of a header has its code", () => {
  const decoder = controlDecoder();
  assertFault(() => decoder.decode([]), "malformed");
  assertFault(() => decoder.decode([header({ kind: "dance", wire: 1 })]), "unknown_kind");
  assertFault(() => decoder.decode([header({ kind: "beacon", wire: 2 })]), "unsupported_version");
  assertFault(() => decoder.decode([header({ kind: "toString", wire: 1 })]), "unknown_kind");
  const beacon = header({ kind: "beacon", wire: 1, broker: 3, unknown: [1, { x: 2 }] });
  assert.deepEqual(decoder.decode([beacon]).message, {
    kind: "beacon",
    broker: 3,
    wireMin: 1,
    wireMax: 1,
    run: null,
    version: null,
    learner: undefined,
    maxPayloadBytes: undefined,
    presenceS: undefined,
  });
  assertFault(() => decoder.decode([beacon, frameOf(0x80)]), "malformed");
});

test("a code of a later release is read as other", () => {
  const fields = { incarnation: 1, code: "later", reason: "", seq: null };
  const [frame] = [encodeHeader({ kind: "reject", ...fields })];
  const { message } = controlDecoder().decode([frame]);
  assert.equal(message.kind === "reject" && message.code, "other");
});

/**
 * Returns a frame with some bytes changed, left out or put in.
 * @param {Uint8Array} frame
 * @param {() => number} random
 */
function mutate(frame, random) {
  const bytes = [...frame];
  const changes = Math.floor(random() * 4);
  for (let change = 0; change < changes; change += 1) {
    const at = Math.floor(random() * bytes.length);
    const deleted = random() < 0.3 ? 1 + Math.floor(random() * 8) : random() < 0.7 ? 1 : 0;
    const inserted = random() < 0.6 ? [Math.floor(random() * 256)] : [];
    bytes.splice(at, deleted, ...inserted);
  }
  return Uint8Array.from(bytes);
}

/** @param {Record<string, unknown>} fields */
function header(fields) {
  return encodePayload(fields);
}

/**
 * @param {number} levels
 * @returns {unknown}
 */
function nested(levels) {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

/** @param {Map<string, unknown>} tree */
function mapIn(tree) {
  return /** @type {Map<string, unknown>} */ (tree.get("map"));
}

/** @param {Uint8Array} frame */
function hex(frame) {
  return Buffer.from(frame).toString("hex");
}
