/**
 * A thin simulator whose observations count its steps; prints its actions as JSON when it is done.
 *
 *     node tests/thin-simulator.js --endpoint E --episodes 8 --length 5 --pause-s 0
 */

import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { RemotePolicy } from "../src/inference/remote-policy.js";
import { UnknownEpisodeError } from "../src/wire/errors.js";

const { values } = parseArgs({
  options: {
    endpoint: { type: "string" },
    episodes: { type: "string", default: "8" },
    length: { type: "string", default: "5" },
    "pause-s": { type: "string", default: "0" },
  },
});
const length = Number(values.length);
/** @type {unknown[]} */
const actions = [];
let restarts = 0;

/** @param {RemotePolicy} policy */
async function play(policy) {
  let episode = policy.startEpisode();
  let firstT = 0;
  for (let t = 0; t < length;) {
    try {
      actions.push(await episode.act([t, t], t === firstT ? undefined : t));
      t += 1;
      await pause(1000 * Number(values["pause-s"]));
    } catch (error) {
      if (!(error instanceof UnknownEpisodeError)) throw error;
      restarts += 1;
      firstT = t;
      episode = policy.startEpisode();
    }
  }
  await episode.end([length, length], length);
}

const policy = new RemotePolicy(values.endpoint);
for (let number = 0; number < Number(values.episodes); number += 1) await play(policy);
policy.close();
console.log(JSON.stringify({ actions, restarts }));
