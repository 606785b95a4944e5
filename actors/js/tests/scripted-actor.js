/**
 * An actor whose simulator only numbers its batches, and which keeps a diary of their delivery.
 *
 *     node tests/scripted-actor.js --address A --diary FILE --actor 0 --life 0 --batch-env-steps 20
 */

import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { Client } from "../src/connection/client.js";
import { ClientSockets } from "../src/connection/sockets.js";
import { ingestDecoder } from "../src/wire/messages/headers.js";
import { Diary } from "./support/diary.js";
import { markedBatch } from "./support/marked-batch.js";

const { values } = parseArgs({
  options: {
    address: { type: "string" },
    diary: { type: "string", default: "actor.diary" },
    actor: { type: "string", default: "0" },
    life: { type: "string", default: "0" },
    "batch-env-steps": { type: "string", default: "20" },
    "pause-s": { type: "string", default: "0" },
    "drain-s": { type: "string", default: "60" },
  },
});
const [actor, life] = [Number(values.actor), Number(values.life)];
const diary = new Diary(values.diary);

/** Writes each batch that is handed to the socket into the diary. */
class RecordingSockets extends ClientSockets {
  #decoder = ingestDecoder();

  /**
   * @override
   * @param {Uint8Array[]} frames
   */
  trySend(frames) {
    const isSent = super.trySend(frames);
    const { message } = this.#decoder.decode(frames);
    if (isSent && message.kind === "trajectories") {
      diary.write("transmitted", actor, life, message.seq);
    }
    return isSent;
  }
}

const client = new Client(values.address, { actor: `actor-${actor}`, Sockets: RecordingSockets });
let isStopping = false;
let number = 0;
let acknowledged = 0;
process.on("SIGTERM", () => {
  isStopping = true;
});

function noteAcknowledged() {
  if (number - client.unacknowledged === acknowledged) return;
  acknowledged = number - client.unacknowledged;
  diary.write("acknowledged", actor, life, acknowledged);
}

async function produce() {
  const permit = await client.begin(0.2);
  noteAcknowledged();
  if (permit === null) return;
  number += 1;
  const { update, credit } = permit;
  const envSteps = Math.min(Number(values["batch-env-steps"]), credit.fragmentSteps);
  await pause(1000 * Number(values["pause-s"]));
  diary.write("produced", actor, life, number);
  const batch = markedBatch({ actor, life, number }, envSteps, update.policy.manifest);
  const seq = client.push(batch, update, envSteps);
  if (seq !== number) throw new Error("an actor's batches are numbered without gaps");
}

async function awaitTheEndOfAllBatches() {
  const untilMs = performance.now() + 1000 * Number(values["drain-s"]);
  while (client.unacknowledged > 0 && performance.now() < untilMs) {
    noteAcknowledged();
    await pause(100);
  }
  noteAcknowledged();
}

while (!isStopping) await produce();
await awaitTheEndOfAllBatches();
const { stale, rejected, dropped } = client.totals;
diary.write("ended", actor, life, stale, rejected, dropped, client.unacknowledged);
await client.close();
