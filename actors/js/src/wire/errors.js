/**
 * The one tree of errors.
 *
 *     HeadraceError
 *     ├── ConfigError              an argument cannot work; the message says what to write
 *     ├── RefusedError             the other side will not serve this process (carries a code)
 *     │   └── UnknownEpisodeError      begin another episode
 *     ├── LocalProtocolError       this side tried something illegal
 *     └── RemoteProtocolError      the peer did: count it, drop the message, and continue
 */

export const REJECT_CODES = new Set([
  "malformed",
  "unknown_kind",
  "unsupported_version",
  "oversized",
  "invalid_batch",
  "wrong_run",
  "unexpected_purpose",
  "superseded",
  "poison",
  "unknown_session",
  "learner_exists",
  "invalid_policy",
  "forbidden",
  "too_much",
  "quarantined",
  "unknown_episode",
  "invalid_turn",
]);

/** Base of every error that headrace throws on purpose. */
export class HeadraceError extends Error {
  /**
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An option or an argument cannot work; the message says what to write instead. */
export class ConfigError extends HeadraceError {}

/** The broker or the policy server will not serve this process; asking again would not help. */
export class RefusedError extends HeadraceError {
  /**
   * @param {string} code the reason as a code of the wire
   * @param {string} reason the reason as a sentence
   */
  constructor(code, reason) {
    super(`refused (${code}): ${reason}`);
    this.code = code;
    this.reason = reason;
  }
}

/** The policy server was restarted, or the episode was silent for a minute: begin another one. */
export class UnknownEpisodeError extends RefusedError {
  /** @param {string} reason */
  constructor(reason) {
    super("unknown_episode", reason);
  }
}

/** This side tried something that the protocol forbids. */
export class LocalProtocolError extends HeadraceError {}

/** A peer's bytes are not a legal message. */
export class RemoteProtocolError extends HeadraceError {
  /**
   * @param {string} code the code to answer the peer with
   * @param {string} reason the fault as a sentence
   */
  constructor(code, reason) {
    super(`${code}: ${reason}`);
    this.code = code;
    this.reason = reason;
  }
}
