import assert from "node:assert/strict";
import { test } from "node:test";

import { CartPole } from "../examples/cart-pole.js";
import { seeded } from "./support/random.js";

// What Gymnasium gives for the start and the actions below.
const EXPECTED = [
  0.03133333846926689, 0.17349499464035034, 0.0006599578191526234, -0.216812863945961,
];

test("it moves as Gymnasium's CartPole-v1 does", () => {
  const simulator = new CartPole();
  simulator.restart([0.01, -0.02, 0.03, 0.04]);
  for (const action of [1, 1, 0, 1, 0]) simulator.step(action);
  assert.deepEqual([...simulator.observation], EXPECTED);
});

test("an episode begins near the middle, and ends after 500 steps or at a fall", () => {
  const simulator = new CartPole(seeded(1));
  assert.ok(simulator.reset().every((value) => Math.abs(value) <= 0.05));
  let step = simulator.step(1);
  let steps = 1;
  for (; !step.terminated; steps += 1) step = simulator.step(1);
  assert.ok(steps < 15 && !step.truncated && Math.abs(step.observation[2]) > 0.2094);
});
