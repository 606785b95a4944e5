/** The settings of a client. */

import { DEFAULT_LIMITS } from "../wire/limits.js";
import { DEFAULT_RESEND } from "../wire/sender.js";

/**
 * Times and bounds of a client.
 * @typedef {object} ClientConfig
 * @property {string} client name of the software, shown in `headrace status`
 * @property {number} presenceS time between presence messages
 * @property {number} flushS when closing, how long finished batches may take to reach the broker
 * @property {import("../wire/sender.js").ResendPolicy} resend
 * @property {import("../wire/limits.js").DecodeLimits} limits
 */

/** @type {Readonly<ClientConfig>} */
export const DEFAULT_CONFIG = Object.freeze({
  client: "headrace js",
  presenceS: 1,
  flushS: 5,
  resend: DEFAULT_RESEND,
  limits: DEFAULT_LIMITS,
});
