/** ZeroMQ options of every socket that crosses a network, and the keys of encrypted ones. */

import { publicKeyOf } from "../wire/curve-keys.js";

/**
 * How a dead connection is noticed. A cut cable reports nothing: a connection is given up when
 * data, or a probe during silence, has not been acknowledged for six seconds.
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
 * @param {import("../wire/invitation.js").Invitation | undefined} invitation with keys
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

/** @param {import("../wire/invitation.js").Invitation} invitation */
function curveOptions({ serverKey, secretKey }) {
  return {
    curveServerKey: serverKey,
    curvePublicKey: publicKeyOf(secretKey),
    curveSecretKey: secretKey,
  };
}
