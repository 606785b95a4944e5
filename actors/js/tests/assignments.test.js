import assert from "node:assert/strict";
import { test } from "node:test";

import { Adoption } from "../src/connection/assignments.js";
import { RemoteEpisode } from "../src/inference/remote-episode.js";
import { RemoteProtocolError } from "../src/wire/errors.js";
import {
  answerDecoder,
  controlDecoder,
  encodeHeader,
  questionDecoder,
} from "../src/wire/messages/headers.js";
import { encodePayload } from "../src/wire/payload.js";

/** @typedef {import("../src/connection/assignments.js").Reset} Reset */
/** @typedef {import("../src/wire/messages/inference.js").Answer} Answer */
/** @typedef {import("../src/wire/messages/inference.js").Question} Question */

const EVERY_OPTION = {
  none: null,
  flag: true,
  whole: 7,
  part: 0.5,
  large: 2 ** 60,
  text: "steep",
  list: [1, "two", null],
};
const NOTHING = { task: null, options: {}, seed: undefined };

/**
 * @param {number} number
 * @param {number} [seed]
 */
function level(number, seed) {
  return { number, task: `level-${number}`, options: { level: number }, seed };
}

/** @param {unknown} assignment */
function readEnded(assignment) {
  const header = { kind: "ended", wire: 1, episode: "e", turn: 1, assignment };
  const { message } = answerDecoder().decode([encodePayload(header)]);
  assert.ok(message.kind === "ended");
  return message.assignment;
}

/**
 * Returns the questions of an episode of three turns and an end.
 * @param {Reset} assigned
 * @param {boolean} isAsked
 */
async function questionsOf(assigned, isAsked) {
  /** @type {Question[]} */
  const asked = [];
  const ask = (/** @type {Question} */ question) => {
    asked.push(questionDecoder().decode([encodeHeader(question), new Uint8Array(0)]).message);
    const kind = question.kind === "end" ? "ended" : "actions";
    const message = /** @type {Answer} */ ({ kind, episode: "e", turn: 0 });
    return Promise.resolve({ message, payloads: [encodePayload({ default_agent: 1 })] });
  };
  const episode = new RemoteEpisode(ask, true, assigned, false);
  if (isAsked) assert.equal(episode.assigned, assigned);
  for (let t = 0; t < 3; t += 1) await episode.act([t]);
  await episode.end([3]);
  return asked;
}

test("every reset has the options, and the first one of an assignment has the seed", () => {
  const adoption = new Adoption();
  assert.deepEqual(adoption.adopt(null), NOTHING);
  const { task, options } = level(1);
  assert.deepEqual(adoption.adopt(level(1, 5)), { task, options, seed: 5 });
  assert.deepEqual(adoption.adopt(level(1, 5)), { task, options, seed: undefined });
  assert.equal(adoption.adopt(level(2)).seed, undefined);
  assert.equal(adoption.adopt(level(3, 0)).seed, 0);
  assert.deepEqual(adoption.adopt(null), NOTHING);
});

test("an adoption is behind while another assignment is in force", () => {
  const adoption = new Adoption();
  assert.equal(adoption.isBehind(null), false);
  assert.equal(adoption.isBehind(level(1)), true);
  adoption.adopt(level(1));
  assert.equal(adoption.isBehind(level(1)), false);
  assert.equal(adoption.isBehind({ ...level(1), number: 2 }), true, "of the same task");
  assert.equal(adoption.isBehind(null), true);
});

test("an assignment comes back as it was, and is left out where there is none", () => {
  const assignment = { number: 2 ** 53 - 1, task: "hill", options: EVERY_OPTION, seed: 0 };
  for (const sent of [assignment, { ...assignment, seed: undefined }, undefined]) {
    const frame = encodeHeader({ kind: "ended", episode: "e", turn: 1, assignment: sent });
    const { message } = answerDecoder().decode([frame]);
    assert.deepEqual(message, { kind: "ended", episode: "e", turn: 1, assignment: sent });
    assert.equal(Buffer.from(frame).includes("assignment"), sent !== undefined);
  }
  assert.deepEqual(readEnded({ number: 1, task: "hill" })?.options, {});
});

test("a malformed assignment is a fault of the peer", () => {
  const legal = { number: 1, task: "hill" };
  const wrong = [
    null,
    "hill",
    { task: "hill" },
    { number: 1 },
    { ...legal, number: 0 },
    { ...legal, number: 2 ** 53 },
    { ...legal, task: "two words" },
    { ...legal, seed: -1 },
    { ...legal, seed: null },
    { ...legal, options: [1] },
    { ...legal, options: { "two words": 1 } },
    { ...legal, options: { map: {} } },
    { ...legal, options: { lists: [[1]] } },
    { ...legal, options: { bytes: Uint8Array.of(1) } },
  ];
  for (const assignment of wrong) {
    assert.throws(() => readEnded(assignment), RemoteProtocolError, JSON.stringify(assignment));
  }
});

test("options may have any name", () => {
  const options = { constructor: 1, toString: [2] };
  assert.deepEqual(readEnded({ number: 1, task: "hill", options })?.options, options);
});

test("a delivery and a description may have an assignment, too", () => {
  const numbers = { broker: 1, incarnation: 2, accepted: 0, acknowledged: 0, totals: {} };
  const common = { wire: 1, assignment: { number: 1, task: "level-1", options: { level: 1 } } };
  const delivery = encodePayload({ kind: "delivery", ...numbers, ...common });
  const { message } = controlDecoder().decode([delivery]);
  assert.deepEqual(message.kind === "delivery" && message.assignment, level(1));
  const served = { run: "run-1", version: [1, 2], infos: ["lives"] };
  const description = encodePayload({ kind: "description", ...served, ...common });
  const { message: described } = answerDecoder().decode([description]);
  assert.ok(described.kind === "description");
  assert.deepEqual([described.infos, described.assignment], [["lives"], level(1)]);
});

test("the first turn of an episode names its task if `assigned` was read", async () => {
  const tasks = async (/** @type {Reset} */ assigned, isAsked = true) => {
    const questions = await questionsOf(assigned, isAsked);
    return questions.map((question) => ("task" in question ? question.task : "none"));
  };
  const { task, options } = level(1);
  assert.deepEqual(await tasks({ task, options }), ["level-1", undefined, undefined, "none"]);
  assert.deepEqual(await tasks(NOTHING), [undefined, undefined, undefined, "none"]);
  assert.deepEqual(await tasks({ task, options }, false), [undefined, undefined, undefined, "none"]);
});
