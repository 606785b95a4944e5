import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { DEFAULT_CONFIG } from "../src/connection/config.js";
import { ActorSession } from "../src/connection/session.js";
import { LocalProtocolError, RemoteProtocolError } from "../src/wire/errors.js";
import { PolicyVersion } from "../src/wire/identity.js";
import { encodeHeader, ingestDecoder } from "../src/wire/messages/headers.js";
import { noTotals } from "../src/wire/messages/parts.js";
import { VECTORS } from "./support/vectors-folder.js";

/** @typedef {import("../src/wire/messages/actor.js").ControlMessage} ControlMessage */
/** @typedef {import("../src/wire/messages/actor.js").Delivery} Delivery */

const V1 = new PolicyVersion(1, 1);
const V2 = new PolicyVersion(1, 2);
const snapshot = JSON.parse(readFileSync(new URL("snapshot.json", VECTORS), "utf8"));
const [, POLICY, WEIGHTS] = snapshot.frames.map((/** @type {string} */ f) => Buffer.from(f, "hex"));
const DIGEST = snapshot.header.policy_digest;
const RUN = "test-run";

function makeSession() {
  const identity = { actor: "a", incarnation: 5, host: "host" };
  return new ActorSession(identity, DEFAULT_CONFIG, () => 0);
}

/**
 * @param {ActorSession} session
 * @param {ControlMessage} message
 */
function control(session, message, nowS = 0) {
  session.onControl([encodeHeader(message)], nowS);
}

/**
 * @param {Partial<Delivery>} fields
 * @returns {Delivery}
 */
function delivery(fields = {}) {
  const cumulative = { accepted: 0, acknowledged: 0, totals: noTotals() };
  const flags = { credit: null, gap: false, accepts: true };
  const wanted = { task: null, assignment: undefined };
  const others = { ...cumulative, ...flags, ...wanted, ...fields };
  return { kind: "delivery", broker: 1, incarnation: 5, ...others };
}

/**
 * @param {number} broker
 * @param {PolicyVersion | null} version
 * @param {number | undefined} presenceS
 * @returns {ControlMessage}
 */
function beacon(broker, version = null, presenceS = undefined) {
  const unset = { learner: undefined, maxPayloadBytes: undefined };
  const wire = { wireMin: 1, wireMax: 1 };
  return { kind: "beacon", broker, ...wire, run: null, version, ...unset, presenceS };
}

/**
 * @param {number | null} seq
 * @returns {ControlMessage}
 */
function reject(seq, incarnation = 5) {
  return { kind: "reject", incarnation, code: "superseded", reason: "later", seq };
}

function credit(upTo = 2) {
  return { upTo, fragmentSteps: 10, fragmentS: 1, minVersion: V1 };
}

function level(number = 1) {
  return { number, task: `level-${number}`, options: { level: number }, seed: undefined };
}

/**
 * @param {ActorSession} session
 * @param {PolicyVersion} version
 */
function takeSnapshot(session, version, policy = POLICY) {
  const header = encodeHeader({ kind: "snapshot", run: RUN, version, policyDigest: DIGEST });
  session.onWeights([header, policy, WEIGHTS]);
}

/** @param {ActorSession} session */
function presence(session, nowS = 0) {
  const frames = session.nextPresence(nowS);
  return frames === null ? null : ingestDecoder().decode(frames).message.kind;
}

/**
 * @param {ActorSession} session
 * @param {string | null} [task]
 */
function push(session, task) {
  const payload = Buffer.from("payload");
  return session.push({ version: V1, run: RUN, envSteps: 5, payload, task });
}

/** @param {ActorSession} session */
function taskOfNextBatch(session) {
  const { message } = ingestDecoder().decode(session.nextBatch(0)?.frames ?? []);
  assert.ok(message.kind === "trajectories");
  session.markSent(message.seq, 0);
  return message.task;
}

test("hello is repeated until it is answered, and then becomes alive", () => {
  const session = makeSession();
  assert.equal(presence(session, 0), "hello");
  assert.equal(presence(session, 0.5), null);
  assert.equal(presence(session, 1), "hello");
  control(session, delivery());
  assert.equal(presence(session, 2), "alive");
});

test("presence follows the period of the beacon", () => {
  const session = makeSession();
  assert.equal(presence(session, 0), "hello");
  control(session, delivery());
  control(session, beacon(1, null, 5));
  assert.equal(presence(session, 1), "alive");
  control(session, delivery(), 1);
  control(session, beacon(1, null, 5), 5.9);
  assert.equal(presence(session, 5.9), null);
  assert.ok(!session.takeSilentEndpoints(6.5).includes("ingest"));
  assert.equal(presence(session, 6), "alive");
  control(session, beacon(1), 6.5);
  assert.equal(presence(session, 7), "alive");
});

test("a beacon of another broker is answered with hello at once", () => {
  const session = makeSession();
  presence(session, 0);
  control(session, delivery());
  control(session, beacon(1));
  assert.equal(presence(session, 0.1), null);
  control(session, beacon(2));
  assert.equal(presence(session, 0.1), "hello");
});

test("after a disconnect presence is sent before a batch", () => {
  const session = makeSession();
  control(session, delivery({ credit: credit() }));
  presence(session, 0);
  push(session);
  session.onDisconnect(0.1);
  assert.equal(session.nextBatch(0.1), null);
  assert.equal(presence(session, 0.1), "alive");
  control(session, delivery({ credit: credit() }));
  assert.equal(session.nextBatch(0.2)?.seq, 1);
});

test("endpoints that prove nothing for five seconds are to be reconnected", () => {
  const session = makeSession();
  assert.deepEqual(session.takeSilentEndpoints(0), []);
  for (let second = 1; second < 5; second += 1) control(session, beacon(1, V1), second);
  control(session, delivery(), 4);
  assert.deepEqual(session.takeSilentEndpoints(6), ["weights"], "its version has not come");
  assert.deepEqual(session.takeSilentEndpoints(9.5), ["ingest", "control"]);
});

test("messages for an earlier process are ignored", () => {
  const session = makeSession();
  control(session, delivery({ incarnation: 4, credit: credit() }));
  control(session, reject(null, 4));
  assert.equal(session.credit, null);
  assert.equal(session.refusal, null);
});

test("a rejected incarnation is refused, and one with a rejected batch is not", () => {
  const session = makeSession();
  const refusal = () => session.refusal?.code;
  control(session, reject(1));
  assert.equal(refusal(), undefined);
  control(session, reject(null));
  assert.equal(refusal(), "superseded");
});

test("a snapshot brings policy and weights, decoded once", () => {
  const session = makeSession();
  assert.equal(session.policyUpdate(), null);
  takeSnapshot(session, V1);
  const update = session.policyUpdate();
  assert.equal(update?.digest, DIGEST);
  assert.equal(session.run, RUN);
  assert.deepEqual(update?.weights.get("default_policy")?.get("w")?.shape, [4, 2]);
  assert.equal(session.policyUpdate(), update);
});

test("versions never go back within a run", () => {
  const session = makeSession();
  takeSnapshot(session, V2);
  takeSnapshot(session, V1);
  assert.ok(session.newestVersion?.equals(V2));
});

test("weights are used only with the policy whose digest they name", () => {
  const session = makeSession();
  takeSnapshot(session, V1);
  const header = { kind: /** @type {const} */ ("weights"), run: RUN, version: V2 };
  session.onWeights([encodeHeader({ ...header, policyDigest: "0".repeat(32) }), WEIGHTS]);
  assert.ok(session.newestVersion?.equals(V1));
  session.onWeights([encodeHeader({ ...header, policyDigest: DIGEST }), WEIGHTS]);
  assert.ok(session.newestVersion?.equals(V2));
});

test("a policy that differs from its digest is a fault", () => {
  const session = makeSession();
  const other = Buffer.concat([POLICY.subarray(0, -1), Buffer.of(0)]);
  assert.throws(() => takeSnapshot(session, V1, other), RemoteProtocolError);
});

test("a batch begins with credit and weights, and may be pushed without either later", () => {
  const session = makeSession();
  assert.throws(() => push(session), LocalProtocolError);
  control(session, delivery({ credit: credit(1) }));
  assert.equal(session.mayBegin(), false);
  takeSnapshot(session, V1);
  assert.equal(session.mayBegin(), true);
  control(session, delivery({ broker: 2 }));
  assert.equal(push(session), 1);
  assert.throws(() => push(session), LocalProtocolError);
});

test("an assignment is in force until credit arrives with another one or with none", () => {
  const session = makeSession();
  assert.equal(session.assignment, null);
  control(session, delivery({ assignment: level(1) }));
  assert.deepEqual(session.assignment, level(1));
  control(session, delivery({ credit: credit(), assignment: level(2) }));
  assert.deepEqual(session.assignment, level(2));
  control(session, delivery({ broker: 2 }));
  assert.deepEqual(session.assignment, level(2), "a broker that has just started does not know");
  control(session, delivery({ broker: 2, credit: credit() }));
  assert.equal(session.assignment, null);
});

test("a batch names the task that it is pushed with", () => {
  const session = makeSession();
  takeSnapshot(session, V1);
  control(session, delivery({ credit: credit(3), assignment: level(1) }));
  push(session, "level-1");
  push(session, null);
  push(session);
  const tasks = [1, 2, 3].map(() => taskOfNextBatch(session));
  assert.deepEqual(tasks, ["level-1", null, null]);
});
