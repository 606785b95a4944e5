import assert from "node:assert/strict";
import { test } from "node:test";

import { fitRow, requireRange } from "../src/policy/fitting.js";
import { flagOf, rewardOf } from "../src/recording/simulator-values.js";
import { NdArray } from "../src/wire/arrays.js";
import { ConfigError } from "../src/wire/errors.js";

/**
 * @param {string} dtype
 * @param {number[]} shape
 */
function spec(dtype, shape) {
  return { name: "obs", dtype, shape };
}

/**
 * @param {string} dtype
 * @param {number[]} shape
 * @param {unknown} leaf
 */
function fitted(dtype, shape, leaf) {
  const { values } = fitRow(spec(dtype, shape), leaf);
  return Array.from(/** @type {ArrayLike<unknown>} */ (/** @type {any} */ (values)));
}

test("conversions that keep the values are made", () => {
  assert.deepEqual(fitted("float32", [2], Float64Array.of(0.5, 1)), [0.5, 1]);
  assert.deepEqual(fitted("float32", [2], [1n, true]), [1, 1]);
  assert.deepEqual(fitted("int64", [2], [1, -2]), [1n, -2n]);
  assert.deepEqual(fitted("uint8", [2], Int32Array.of(0, 255)), [0, 255]);
  assert.deepEqual(fitted("bool", [2], [true, 0]), [1, 0]);
  assert.deepEqual(fitted("int64", [], 3), [3n]);
});

test("lists have the shape, or are flat", () => {
  const rows = [
    [1, 2, 3],
    [4, 5, 6],
  ];
  assert.deepEqual(fitted("int32", [2, 3], rows), [1, 2, 3, 4, 5, 6]);
  const typed = rows.map((row) => Int8Array.from(row));
  assert.deepEqual(fitted("int32", [2, 3], typed), rows.flat());
  assert.deepEqual(fitted("int32", [2, 3], rows.flat()), rows.flat());
  const turned = new NdArray("int32", [3, 2], Int32Array.from(rows.flat()));
  assert.throws(() => fitRow(spec("int32", [2, 3]), turned), {
    name: "ConfigError",
    message: /'obs' is of shape \[3,2\], the learner's policy expects int32 of shape \[2,3\]/,
  });
  assert.throws(() => fitRow(spec("int32", [3, 2]), rows), ConfigError);
  assert.throws(() => fitRow(spec("int32", [2]), [1, 2, 3]), ConfigError);
});

test("values that a conversion would change are refused", () => {
  const refused = /** @type {const} */ ([
    ["int64", 0.5],
    ["uint8", 256],
    ["uint8", -1],
    ["int8", 128],
    ["uint64", -1n],
    ["int64", 2n ** 63n],
    ["bool", 2],
    ["float32", "1"],
    ["float32", null],
    ["float32", undefined],
    ["int64", "1"],
  ]);
  for (const [dtype, value] of refused) {
    assert.throws(() => fitRow(spec(dtype, [1]), [value]), {
      name: "ConfigError",
      message: new RegExp(`'obs' is a value of .*expects ${dtype} of shape \\[1\\]`),
    });
  }
});

test("values that are not finite are refused with their name", () => {
  assert.throws(() => fitRow(spec("float32", [2]), [0, NaN]), /'obs' contains NaN/);
  assert.throws(() => fitRow(spec("float64", [1]), [-Infinity]), /'obs' contains -Infinity/);
});

test("indices outside their space are refused", () => {
  const row = fitRow(spec("int64", [2]), [0, 3]);
  requireRange("obs", row, { low: [0], high: [3] });
  requireRange("obs", row, { low: [0, 3], high: [1, 4] });
  assert.throws(() => requireRange("obs", row, { low: [0], high: [2] }), {
    name: "ConfigError",
    message: "the simulator's 'obs' is 3, outside its space, which begins at 0 and ends at 2",
  });
  assert.throws(() => requireRange("obs", row, { low: [1, 3], high: [1, 4] }), ConfigError);
});

test("a reward is one finite number", () => {
  assert.equal(rewardOf(2n), 2);
  assert.equal(rewardOf(true), 1);
  for (const value of [null, undefined, "1", [1], Float32Array.of(1), NaN, Infinity, {}]) {
    assert.throws(() => rewardOf(value), /reward is .*; a reward is one finite number/);
  }
});

test("a flag may be a number or the only element of a list", () => {
  for (const value of [true, 1, [true], Uint8Array.of(1)]) {
    assert.equal(flagOf("truncated", value), true);
  }
  for (const value of [false, 0, [false], Uint8Array.of(0)]) {
    assert.equal(flagOf("terminated", value), false);
  }
  for (const value of [null, undefined, "false", [true, true], [], 2]) {
    assert.throws(() => flagOf("terminated", value), /'terminated' is .*; write true or false/);
  }
});
