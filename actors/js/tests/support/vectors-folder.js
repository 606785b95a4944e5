/** Where the wire's test vectors are. */

export const VECTORS = new URL("../../../../protocol/vectors/", import.meta.url);
