import assert from "node:assert/strict";
import { test } from "node:test";

import { nestActions } from "../src/policy/nested-actions.js";

/**
 * @param {string} name
 * @param {number[]} shape
 */
const leaf = (name, shape = []) => ({ name, dtype: "float32", shape });
const NAMED = (/** @type {string} */ name) => name;

test("an action that is not nested is its output", () => {
  const spec = /** @type {any} */ ({ envAction: leaf("env_action", [2]) });
  assert.deepEqual(
    nestActions(spec, (name, shape) => [name, shape]),
    ["env_action", [2]],
  );
});

test("nested actions are arrays where there is a Tuple, else objects", () => {
  const spec = /** @type {any} */ ({
    envAction: leaf("env_action", [0]),
    envActions: ["0/a", "0/b", "1/0", "1/1"].map((path) => leaf(`env_action/${path}`)),
    actionTuples: ["env_action", "env_action/1"],
  });
  assert.deepEqual(nestActions(spec, NAMED), [
    { a: "env_action/0/a", b: "env_action/0/b" },
    ["env_action/1/0", "env_action/1/1"],
  ]);
});
