import assert from "node:assert/strict";
import { test } from "node:test";

import { curveKeyPair } from "zeromq";

import { actorIdOf } from "../src/connection/actor-ids.js";
import { publicKeyOf } from "../src/wire/curve-keys.js";
import { chooseBroker, splitAddresses } from "../src/wire/broker-choice.js";
import { parseBrokerAddress } from "../src/wire/endpoints.js";
import { ConfigError } from "../src/wire/errors.js";
import { parseInvitation } from "../src/wire/invitation.js";

const { publicKey, secretKey } = curveKeyPair();
const INVITED = {
  address: "tcp://127.0.0.1:5555",
  role: "actor",
  name: "walker",
  server_key: publicKey,
  secret_key: secretKey,
};

/** @param {object} fields */
function lineOf(fields) {
  return `headrace-invitation-1:${Buffer.from(JSON.stringify(fields)).toString("base64")}\n`;
}

test("a public key is derived from its secret key", () => {
  for (let pair = 0; pair < 20; pair += 1) {
    const made = curveKeyPair();
    assert.equal(publicKeyOf(made.secretKey), made.publicKey);
  }
});

test("an invitation has the address, the name and the keys", () => {
  const { address, name, serverKey } = parseInvitation(lineOf(INVITED));
  assert.deepEqual([address, name, serverKey], [INVITED.address, "walker", publicKey]);
});

test("an error about a damaged invitation does not contain its secret", () => {
  const damaged = [
    "rubbish",
    "headrace-invitation-1:rubbish",
    lineOf({ ...INVITED, role: "learner" }),
    lineOf({ ...INVITED, server_key: "short" }),
  ];
  for (const line of damaged) {
    assert.throws(
      () => parseInvitation(line),
      (error) => error instanceof ConfigError && !error.message.includes(secretKey),
    );
  }
});

test("an actor id is the invitation's name, or begins with it", () => {
  const invitation = parseInvitation(lineOf(INVITED));
  assert.equal(actorIdOf("walker.1", invitation), "walker.1");
  assert.match(actorIdOf(undefined, invitation), /^walker\./);
  assert.throws(() => actorIdOf("walkers", invitation), ConfigError);
  assert.throws(() => actorIdOf("two words", undefined), ConfigError);
});

test("a base address means consecutive ports, and all four may be named", () => {
  const base = { ingest: "tcp://h:10", control: "tcp://h:11", weights: "tcp://h:12" };
  assert.deepEqual(parseBrokerAddress("tcp://h:10"), base);
  const named = "ingest=tcp://h:10,control=tcp://h:11,weights=tcp://h:12,learner=tcp://h:13";
  assert.deepEqual(parseBrokerAddress(named), base);
  for (const wrong of ["h:10", "tcp://h:0", "tcp://h:65533", "ingest=tcp://h:1"]) {
    assert.throws(() => parseBrokerAddress(wrong), ConfigError);
  }
});

test("an actor chooses the broker that other languages choose", () => {
  const brokers = splitAddresses("tcp://10.0.0.1:5555, tcp://10.0.0.2:5555,tcp://10.0.0.3:5555");
  const chosen = [0, 1, 0, 2, 1, 0];
  for (const [actor, at] of chosen.entries()) {
    assert.equal(chooseBroker(brokers, `walker-${actor}`), brokers[at]);
    assert.equal(chooseBroker(brokers.toReversed(), `walker-${actor}`), brokers[at]);
  }
});

test("several brokers may each name their endpoints", () => {
  const named = (/** @type {string} */ h) =>
    `ingest=tcp://${h}:1,control=tcp://${h}:2,weights=tcp://${h}:3,learner=tcp://${h}:4`;
  const addresses = [named("a"), "tcp://c:1", named("b")];
  assert.deepEqual(splitAddresses(addresses.join(",")), addresses);
  assert.deepEqual(splitAddresses(addresses), addresses);
  assert.throws(() => splitAddresses([named("a"), named("a")]), ConfigError);
  assert.throws(() => splitAddresses([]), ConfigError);
});
