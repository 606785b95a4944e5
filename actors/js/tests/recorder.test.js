import assert from "node:assert/strict";
import { test } from "node:test";

import { Recorder } from "../src/recording/recorder.js";
import { ConfigError, LocalProtocolError } from "../src/wire/errors.js";
import { DEFAULT_MODULE } from "../src/wire/manifest.js";
import { decodeBatch, encodeBatch } from "../src/wire/trajectory.js";

/** @typedef {import("../src/wire/trajectory.js").TrajectoryBatch} TrajectoryBatch */

let nowS = 0;

/** @returns {Recorder} */
function makeRecorder(lookback = 0) {
  nowS = 0;
  const unbounded = { low: null, high: null };
  const columns = [
    { name: "obs", dtype: "float32", shape: [2], ...unbounded },
    { name: "actions", dtype: "int64", shape: [], ...unbounded },
    { name: "rewards", dtype: "float32", shape: [], ...unbounded },
  ];
  const module = /** @type {any} */ ({ columns, lookback });
  return new Recorder(module, () => nowS);
}

/** @param {number} value */
function seen(value) {
  return { obs: Float32Array.of(value, value) };
}

/**
 * @param {Recorder} recorder
 * @param {number} t
 * @param {object} ending
 */
function step(recorder, t, ending = {}) {
  nowS += 1;
  recorder.record(seen(t), { actions: t % 2 }, { reward: t, final: seen(99), ...ending });
}

/** @param {TrajectoryBatch} batch */
function read(batch) {
  const part = decodeBatch(encodeBatch(batch)).get(DEFAULT_MODULE);
  assert.ok(part !== undefined);
  const column = (/** @type {string} */ name) =>
    Array.from(part.columns.get(name)?.values ?? [], Number);
  return {
    chunks: part.chunks,
    observations: column("obs").filter((_, index) => index % 2 === 0),
    actions: column("actions"),
    rewards: column("rewards"),
  };
}

test("observations have one row more than the others", () => {
  const recorder = makeRecorder();
  for (let t = 0; t < 3; t += 1) step(recorder, t);
  const { batch, envSteps } = recorder.takeBatch(seen(3));
  const { observations, actions, rewards } = read(batch);
  assert.equal(envSteps, 3);
  assert.deepEqual(observations, [0, 1, 2, 3]);
  assert.deepEqual(actions, [0, 1, 0]);
  assert.deepEqual(rewards, [0, 1, 2]);
});

test("an episode that ends has its return, its length and its own last observation", () => {
  const recorder = makeRecorder();
  step(recorder, 1);
  step(recorder, 2, { truncated: true });
  assert.equal(recorder.isAtStart, true);
  step(recorder, 5);
  const { chunks, observations } = read(recorder.takeBatch(seen(6)).batch);
  const [ended, open] = chunks;
  assert.deepEqual(observations, [1, 2, 99, 5, 6]);
  assert.deepEqual(
    [ended.truncated, ended.terminated, ended.episodeLength, ended.episodeReturn, ended.episodeS],
    [true, false, 2, 3, 2],
  );
  assert.deepEqual([open.truncated, open.episodeLength, open.episodeReturn], [false, 0, NaN]);
  assert.notDeepEqual(ended.episodeId, open.episodeId);
});

test("an episode continues in the next batch, with context from before", () => {
  const recorder = makeRecorder(2);
  for (let t = 0; t < 3; t += 1) step(recorder, t);
  const [first] = read(recorder.takeBatch(seen(3)).batch).chunks;
  step(recorder, 3, { terminated: true });
  const { chunks, observations, rewards } = read(recorder.takeBatch(seen(0)).batch);
  const [second] = chunks;
  assert.deepEqual(second.episodeId, first.episodeId);
  assert.deepEqual([second.tStarted, second.length, second.lookback], [3, 1, 2]);
  assert.deepEqual(observations, [1, 2, 3, 99]);
  assert.deepEqual(rewards, [1, 2, 3]);
  assert.deepEqual([second.episodeLength, second.episodeReturn], [4, 6]);
});

test("another episode has no context of the one before", () => {
  const recorder = makeRecorder(2);
  step(recorder, 0, { terminated: true });
  recorder.takeBatch(seen(0));
  step(recorder, 7);
  const [chunk] = read(recorder.takeBatch(seen(8)).batch).chunks;
  assert.deepEqual([chunk.tStarted, chunk.lookback], [0, 0]);
});

test("discarded steps leave a hole in their episode", () => {
  const recorder = makeRecorder();
  step(recorder, 0);
  assert.equal(recorder.discardBatch(), 1);
  step(recorder, 1);
  const [chunk] = read(recorder.takeBatch(seen(2)).batch).chunks;
  assert.deepEqual([chunk.tStarted, chunk.length], [1, 1]);
});

test("a batch needs a step, an end its observation, and a column its values", () => {
  const recorder = makeRecorder();
  assert.throws(() => recorder.takeBatch(seen(0)), LocalProtocolError);
  assert.throws(
    () => recorder.record(seen(0), { actions: 0 }, { reward: 0, terminated: true }),
    LocalProtocolError,
  );
  const other = makeRecorder();
  other.record({ obs: [1] }, { actions: 0 }, { reward: 0 });
  assert.throws(() => other.takeBatch(seen(0)), ConfigError);
  const without = makeRecorder();
  without.record(seen(0), {}, { reward: 0 });
  assert.throws(() => without.takeBatch(seen(0)), /'actions' that was not recorded/);
});
