/** The sockets of a client: PUSH to ingest, SUB to control and weights. */

import { Push, Subscriber } from "zeromq";

import { connectionOptions } from "./connections.js";
import { BEACON_TOPIC, deliveryTopic, snapshotTopic, weightsTopic } from "./topics.js";

/** @typedef {import("./broker-address.js").BrokerAddress} BrokerAddress */
/** @typedef {import("./endpoint-watch.js").Endpoint} Endpoint */
/** @typedef {import("./invitation.js").Invitation} Invitation */

const GOODBYE_LINGER_MS = 500;
const PUSH_MARK = 8;
const CONTROL_MARK = 1000;
const WEIGHTS_MARK = 2;

/**
 * PUSH refuses at a low mark instead of waiting, so that what a broker that went away will never
 * read stays here and not in pipes, and nothing queues behind it. SUB control may lose messages:
 * they are cumulative. SUB weights drops the newest at its mark, below which reading at once keeps it.
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
   * Calls back whenever the connection to ingest was lost.
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
   * Hands a message to ingest at once, or returns false: the broker takes no more for now.
   * @param {Uint8Array[]} frames must not be changed afterwards
   */
  trySend(frames) {
    if (!this.#push.writable) return false;
    // With a timeout of 0 this is done when it returns. Should it fail all the same, the message is
    // lost like any other that left, and is repeated in its time.
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
   * Drops the connection to an endpoint, with what is under way, and makes another one.
   * @param {Endpoint} endpoint
   */
  reconnect(endpoint) {
    const sockets = { ingest: this.#push, control: this.#control, weights: this.#weights };
    sockets[endpoint].disconnect(this.#address[endpoint]);
    sockets[endpoint].connect(this.#address[endpoint]);
  }

  /** Disconnects; what was sent may still leave within half a second. */
  close() {
    this.#push.linger = GOODBYE_LINGER_MS;
    this.#push.close();
    this.#control.close();
    this.#weights.close();
  }
}
