/**
 * A simulator whose observations count its steps, with the policy in this process.
 *
 *     node tests/counting-simulator.js --address A --length 5
 */

import { parseArgs } from "node:util";

import { Agent } from "../src/agents/agent.js";
import { Client } from "../src/connection/client.js";

const { values } = parseArgs({
  options: { address: { type: "string" }, length: { type: "string", default: "5" } },
});
const length = Number(values.length);
const client = new Client(values.address);
process.once("SIGTERM", () => client.close());
const agent = new Agent(client);

let t = 0;
while ((await agent.act([t, t])) !== null) {
  t += 1;
  const terminated = t === length;
  await agent.record([t, t], t, { terminated });
  if (terminated) t = 0;
}
