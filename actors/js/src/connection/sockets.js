/** The sockets of a client: PUSH to ingest, SUB to control and weights. */

import { Push, Subscriber } from "zeromq";

import { BEACON_TOPIC, deliveryTopic, snapshotTopic, weightsTopic } from "../wire/topics.js";
import { connectionOptions } from "./zmq.js";

/** @typedef {import("../wire/endpoints.js").BrokerAddress} BrokerAddress */
/** @typedef {import("../wire/invitation.js").Invitation} Invitation */
/** @typedef {import("./endpoint-watch.js").Endpoint} Endpoint */

const GOODBYE_LINGER_MS = 500;
const PUSH_MARK = 8;
const CONTROL_MARK = 1000;
const WEIGHTS_MARK = 2;

/**
 * PUSH refuses at a low high-water mark instead of waiting, so that batches for a broker that has
 * gone stay in the session and not in pipes, and nothing queues behind them. SUB control may lose
 * messages: they are cumulative. SUB weights drops the newest message at its mark; reading at once
 * keeps it below.
 */
export class ClientSockets {
  #push;
  #control;
  #weights;
  #address;
  /** @type {string | null} */
  #weightsTopic = null;

  /**
   * @param {BrokerAddress} address
   * @param {string} actor
   * @param {Invitation} [invitation]
   */
  constructor(address, actor, invitation) {
    this.#address = address;
    this.#push = new Push({
      ...connectionOptions(address.ingest, invitation),
      sendHighWaterMark: PUSH_MARK,
      sendTimeout: 0,
    });
    this.#control = new Subscriber({
      ...connectionOptions(address.control, invitation),
      receiveHighWaterMark: CONTROL_MARK,
    });
    this.#weights = new Subscriber({
      ...connectionOptions(address.weights, invitation),
      receiveHighWaterMark: WEIGHTS_MARK,
    });
    this.#control.subscribe(deliveryTopic(actor), BEACON_TOPIC);
    this.#weights.subscribe(snapshotTopic(actor));
    this.#push.connect(address.ingest);
    this.#control.connect(address.control);
    this.#weights.connect(address.weights);
  }

  /**
   * Calls back whenever the connection to ingest is lost.
   * @param {() => void} callback
   */
  onDisconnect(callback) {
    this.#push.events.on("disconnect", callback);
  }

  /**
   * Messages of the control endpoint without their topics, until `close`.
   * @returns {AsyncGenerator<Uint8Array[]>}
   */
  async *controlMessages() {
    for await (const [, ...frames] of this.#control) yield frames;
  }

  /**
   * Messages of the weights endpoint without their topics, until `close`.
   * @returns {AsyncGenerator<Uint8Array[]>}
   */
  async *weightsMessages() {
    for await (const [, ...frames] of this.#weights) yield frames;
  }

  /**
   * Hands a message to ingest at once, or returns false if the broker accepts no more for now.
   * @param {Uint8Array[]} frames must not be changed afterwards
   */
  trySend(frames) {
    if (!this.#push.writable) return false;
    // With a timeout of 0 it is sent when this returns. If that fails nevertheless, the message is
    // repeated after the usual wait, like any other that was lost.
    this.#push.send(frames).catch(() => {});
    return true;
  }

  /**
   * Subscribes to the weights of a run and of no other.
   * @param {string} run
   */
  subscribeWeights(run) {
    const topic = weightsTopic(run);
    if (topic === this.#weightsTopic) return;
    if (this.#weightsTopic !== null) this.#weights.unsubscribe(this.#weightsTopic);
    this.#weights.subscribe(topic);
    this.#weightsTopic = topic;
  }

  /**
   * Drops the connection to an endpoint, with the messages in it, and connects again.
   * @param {Endpoint} endpoint
   */
  reconnect(endpoint) {
    const sockets = { ingest: this.#push, control: this.#control, weights: this.#weights };
    sockets[endpoint].disconnect(this.#address[endpoint]);
    sockets[endpoint].connect(this.#address[endpoint]);
  }

  /** Disconnects; queued messages may still leave within half a second. */
  close() {
    this.#push.linger = GOODBYE_LINGER_MS;
    this.#push.close();
    this.#control.close();
    this.#weights.close();
  }
}
