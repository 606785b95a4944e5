/**
 * Connects simulators in JavaScript to a headrace broker, or to its policy server.
 *
 * The folders are the rooms of `actors/` and `protocol/` in Python. Each imports only those above:
 *
 *     wire/                    messages, payloads and delivery, as data and pure state machines
 *     connection/              the conversation with a broker: session, client, loop, sockets
 *     recording/  policy/      steps become trajectory batches; actions from the learner's graph
 *     agents/     inference/   acting and recording here; actions from a policy server
 */

export { Agent } from "./agents/agent.js";
export { Client } from "./connection/client.js";
export { loadInvitation } from "./connection/invitation-file.js";
export { RemoteEpisode } from "./inference/remote-episode.js";
export { RemotePolicy } from "./inference/remote-policy.js";
export { OnnxPolicy } from "./policy/onnx-policy.js";
export { BatchDelivery, OpenBatch } from "./recording/batch-lifecycle.js";
export { Recorder } from "./recording/recorder.js";
export { NdArray } from "./wire/arrays.js";
export {
  ConfigError,
  HeadraceError,
  LocalProtocolError,
  RefusedError,
  RemoteProtocolError,
  UnknownEpisodeError,
} from "./wire/errors.js";
export { PolicyVersion } from "./wire/identity.js";
export { parseInvitation } from "./wire/invitation.js";
