/** ZeroMQ options of every socket that crosses a network, and the keys of those that are encrypted. */

import { publicKeyOf } from "./curve-keys.js";

/**
 * How a dead connection is noticed. A cable that is cut says nothing: a connection is given up when
 * what was sent, or a probe in silence, has not been answered for six seconds.
 */
const CONNECTION_OPTIONS = {
  tcpKeepalive: 1,
  tcpKeepaliveIdle: 2,
  tcpKeepaliveInterval: 1,
  tcpKeepaliveCount: 4,
  tcpMaxRetransmitTimeout: 6000,
};

/** By itself TCP would wait longer at each attempt; milliseconds. */
const RECONNECT_OPTIONS = {
  reconnectInterval: 100,
  reconnectMaxInterval: 1000,
  connectTimeout: 2000,
};

/**
 * Returns the options of a socket that connects to an endpoint.
 * @param {string} endpoint
 * @param {import("./invitation.js").Invitation | undefined} invitation encrypts what it is given for
 */
export function connectionOptions(endpoint, invitation) {
  const options = {
    ...CONNECTION_OPTIONS,
    ...RECONNECT_OPTIONS,
    ipv6: endpoint.includes("["),
    linger: 0,
  };
  return invitation === undefined ? options : { ...options, ...curveOptions(invitation) };
}

/** @param {import("./invitation.js").Invitation} invitation */
function curveOptions({ serverKey, secretKey }) {
  return {
    curveServerKey: serverKey,
    curvePublicKey: publicKeyOf(secretKey),
    curveSecretKey: secretKey,
  };
}
