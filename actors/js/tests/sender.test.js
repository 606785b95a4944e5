import assert from "node:assert/strict";
import { test } from "node:test";

import { RemoteProtocolError } from "../src/wire/errors.js";
import { PolicyVersion } from "../src/wire/identity.js";
import { noTotals } from "../src/wire/messages/parts.js";
import { Sender } from "../src/wire/sender.js";

/** @typedef {import("../src/wire/messages/actor.js").Delivery} Delivery */

const V0 = new PolicyVersion(1, 0);
const V1 = new PolicyVersion(1, 1);

/** @returns {Sender<string>} */
function makeSender(batches = 0) {
  const sender = new Sender(() => 0, { firstS: 2, longestS: 5, jitter: 0 });
  for (let number = 1; number <= batches; number += 1) sender.enter(`batch ${number}`);
  return sender;
}

function credit(upTo = 1, minVersion = V0) {
  return { upTo, fragmentSteps: 10, fragmentS: 1, minVersion };
}

/**
 * @param {Sender<string>} sender
 * @param {Partial<Delivery>} fields
 */
function deliver(sender, fields = {}, nowS = 0) {
  const totals = { ...noTotals(), consumed: fields.acknowledged ?? 0 };
  const cumulative = { accepted: 0, acknowledged: 0, totals };
  const flags = { gap: false, accepts: true, credit: null, task: null, assignment: undefined };
  const identity = { broker: 1, incarnation: 1 };
  sender.receive({ kind: "delivery", ...identity, ...cumulative, ...flags, ...fields }, nowS);
}

/** @param {Sender<string>} sender */
function transmit(sender, nowS = 0) {
  const sent = [];
  for (let due = sender.nextDue(nowS); due !== null; due = sender.nextDue(nowS)) {
    sender.markSent(due.seq, nowS);
    sent.push(due.sentBefore ? -due.seq : due.seq);
  }
  return sent;
}

test("without credit nothing may begin", () => {
  assert.equal(makeSender().mayBegin(V1), false);
});

test("credit lets batches begin up to its number", () => {
  const sender = makeSender();
  deliver(sender, { credit: credit(1) });
  assert.equal(sender.mayBegin(V0), true);
  sender.enter("first");
  assert.equal(sender.mayBegin(V0), false);
});

test("credit requires the weights that it was granted for", () => {
  const sender = makeSender();
  deliver(sender, { credit: credit(1, V1) });
  assert.equal(sender.mayBegin(V0), false);
  assert.equal(sender.mayBegin(V1), true);
});

test("a late copy of an older grant does not reduce the credit", () => {
  const sender = makeSender();
  deliver(sender, { credit: credit(3, V1) });
  deliver(sender, { credit: credit(2, V0) });
  assert.deepEqual(sender.credit, credit(3, V1));
});

test("credit of another broker is void", () => {
  const sender = makeSender();
  deliver(sender, { credit: credit(3) });
  deliver(sender, { broker: 2 });
  assert.equal(sender.credit, null);
});

test("each batch is transmitted once, in order", () => {
  const sender = makeSender(3);
  assert.deepEqual(transmit(sender), [1, 2, 3]);
  assert.deepEqual(transmit(sender), []);
});

test("batches that are not accepted are repeated, each time after twice the wait", () => {
  const sender = makeSender(2);
  transmit(sender);
  assert.deepEqual(transmit(sender, 1.9), []);
  assert.deepEqual(transmit(sender, 2), [-1, -2]);
  assert.equal(sender.nextEventAtS, 6);
  assert.deepEqual(transmit(sender, 6), [-1, -2]);
  assert.equal(sender.nextEventAtS, 11, "no wait is longer than the longest");
});

test("after a gap its batches are repeated at once", () => {
  const sender = makeSender(3);
  transmit(sender);
  deliver(sender, { accepted: 1, gap: true });
  assert.deepEqual(transmit(sender), [-2, -3]);
});

test("a new broker is sent the batches that it does not have", () => {
  const sender = makeSender(3);
  transmit(sender);
  deliver(sender, { accepted: 3, acknowledged: 1 });
  deliver(sender, { broker: 2, accepted: 0 });
  assert.equal(sender.accepted, 1, "never below what is acknowledged");
  assert.deepEqual(transmit(sender), [-2, -3]);
});

test("after a lost connection nothing is sent before a delivery arrives", () => {
  const sender = makeSender(2);
  transmit(sender);
  sender.loseConnection();
  assert.deepEqual(transmit(sender, 100), []);
  deliver(sender, { accepted: 1 }, 100);
  assert.deepEqual(transmit(sender, 100), [-2]);
});

test("a broker that accepts nothing is sent nothing until it does", () => {
  const sender = makeSender(2);
  transmit(sender);
  deliver(sender, { accepts: false });
  assert.deepEqual(transmit(sender, 100), []);
  deliver(sender, { gap: true }, 100);
  assert.deepEqual(transmit(sender, 100), [-1, -2]);
});

test("batches that have ended are forgotten, and an older copy changes nothing", () => {
  const sender = makeSender(3);
  transmit(sender);
  deliver(sender, { accepted: 3, acknowledged: 2 });
  deliver(sender, { accepted: 1, acknowledged: 1 });
  assert.equal(sender.held, 1);
  assert.equal(sender.totals.consumed, 2);
  assert.deepEqual(transmit(sender), []);
});

test("a delivery of batches that were never produced is a fault", () => {
  const sender = makeSender(1);
  assert.throws(() => deliver(sender, { accepted: 2 }), RemoteProtocolError);
  assert.throws(() => deliver(sender, { accepted: 0, acknowledged: 1 }), RemoteProtocolError);
});
