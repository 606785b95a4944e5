/** The folder of the wire's test vectors. */

export const VECTORS = new URL("../../../../protocol/vectors/", import.meta.url);
