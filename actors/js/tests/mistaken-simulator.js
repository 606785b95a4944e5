/**
 * Plays episodes of five steps, and makes every mistake once; prints the errors as JSON.
 *
 *     node tests/mistaken-simulator.js --address A     # until SIGTERM
 */

import { parseArgs } from "node:util";

import { Agent } from "../src/agents/agent.js";
import { Client } from "../src/connection/client.js";

const LENGTH = 5;

const { values } = parseArgs({ options: { address: { type: "string" } } });
/** @type {string[]} */
const errors = [];

/** @param {Promise<unknown>} mistake */
async function keepError(mistake) {
  const failed = await mistake.then(
    () => "no error",
    (error) => `${error.name}: ${error.message}`,
  );
  errors.push(failed);
}

const client = new Client(values.address);
process.once("SIGTERM", () => client.close());
const agent = new Agent(client);

await keepError(agent.act(["0", 0]));
await keepError(agent.act([NaN, 0]));
await agent.act([0, 0]);
await agent.record([1, 1], 100);
await agent.act([1, 1]);
await keepError(agent.act([1, 1]));
agent.dropEpisode(); // whose return would be 100 or more
await agent.act([0, 0]);
await keepError(agent.record([1, 1], /** @type {any} */ (null)));
await keepError(agent.record([1, 1], 1, { terminated: /** @type {any} */ ([false, false]) }));
await keepError(agent.record([1, 1, 1], 1, { terminated: true }));
await agent.record([1, 1], 1);
let t = 1;
while ((await agent.act(Float64Array.of(t, t))) !== null) {
  t += 1;
  const terminated = /** @type {any} */ ([t === LENGTH]);
  await agent.record(Float64Array.of(t, t), 1, { terminated });
  if (t === LENGTH) t = 0;
}
console.log(JSON.stringify(errors));
