/** Keys of CURVE (RFC 26/CurveZMQ) in Z85 encoding (RFC 32/Z85). */

import { createPrivateKey, createPublicKey } from "node:crypto";

const DIGITS =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const KEY_LENGTH = 40;

// Precedes the 32 bytes of an X25519 private key in PKCS #8.
const PKCS8_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");
const KEY_BYTES = 32;

/**
 * Returns whether a value is a key in Z85.
 * @param {unknown} text
 * @returns {text is string}
 */
export function isCurveKey(text) {
  return (
    typeof text === "string" &&
    text.length === KEY_LENGTH &&
    [...text].every((digit) => DIGITS.includes(digit))
  );
}

/**
 * Returns the public key of a secret one.
 * @param {string} secretKey
 */
export function publicKeyOf(secretKey) {
  const der = Buffer.concat([PKCS8_HEAD, decodeZ85(secretKey)]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const spki = createPublicKey(secret).export({ format: "der", type: "spki" });
  return encodeZ85(spki.subarray(spki.length - KEY_BYTES));
}

/**
 * Five digits of base 85 are four bytes, the most significant first.
 * @param {string} text
 */
function decodeZ85(text) {
  const bytes = Buffer.alloc((text.length / 5) * 4);
  for (let group = 0; group < text.length / 5; group += 1) {
    const digits = [...text.slice(5 * group, 5 * group + 5)];
    const value = digits.reduce((sum, digit) => sum * 85 + DIGITS.indexOf(digit), 0);
    bytes.writeUInt32BE(value % 2 ** 32, 4 * group);
  }
  return bytes;
}

/** @param {Buffer} bytes */
function encodeZ85(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 4) {
    const value = bytes.readUInt32BE(start);
    for (let power = 4; power >= 0; power -= 1)
      text += DIGITS[Math.floor(value / 85 ** power) % 85];
  }
  return text;
}
