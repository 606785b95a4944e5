/** Connects simulators in JavaScript to a headrace broker, or to its policy server. */

export { Agent } from "./agent.js";
export { Client } from "./client.js";
export {
  ConfigError,
  HeadraceError,
  LocalProtocolError,
  RefusedError,
  RemoteProtocolError,
  UnknownEpisodeError,
} from "./errors.js";
export { loadInvitation, parseInvitation } from "./invitation.js";
export { NdArray } from "./nd-array.js";
export { OnnxPolicy } from "./onnx-policy.js";
export { BatchDelivery, OpenBatch } from "./open-batch.js";
export { PolicyVersion } from "./policy-version.js";
export { Recorder } from "./recorder.js";
export { RemoteEpisode } from "./remote-episode.js";
export { RemotePolicy } from "./remote-policy.js";
