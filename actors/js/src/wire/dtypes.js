/** The dtypes of the wire, by NumPy's names, and the typed arrays that hold them. */

/**
 * @typedef {Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array
 *   | BigUint64Array | BigInt64Array | Float32Array | Float64Array} TypedArray
 */

/**
 * @typedef {object} Dtype
 * @property {string} name as in a manifest, such as `float32`
 * @property {string} code as in an array's `type` after the byte order, such as `f4`
 * @property {number} itemBytes of one element
 * @property {number} perItem members of the typed array for one element: 2 for a complex number
 * @property {number} swapBytes the unit to reverse if the byte order is the other one
 * @property {(buffer: ArrayBuffer) => TypedArray} view
 */

/** @type {readonly Dtype[]} */
const DTYPES = [
  dtype("bool", "b1", Uint8Array),
  dtype("int8", "i1", Int8Array),
  dtype("int16", "i2", Int16Array),
  dtype("int32", "i4", Int32Array),
  dtype("int64", "i8", BigInt64Array),
  dtype("uint8", "u1", Uint8Array),
  dtype("uint16", "u2", Uint16Array),
  dtype("uint32", "u4", Uint32Array),
  dtype("uint64", "u8", BigUint64Array),
  // JavaScript has no array of half floats: these are their bits.
  dtype("float16", "f2", Uint16Array),
  dtype("float32", "f4", Float32Array),
  dtype("float64", "f8", Float64Array),
  dtype("complex64", "c8", Float32Array, 2),
  dtype("complex128", "c16", Float64Array, 2),
];

const BY_NAME = new Map(DTYPES.map((each) => [each.name, each]));
const BY_CODE = new Map(DTYPES.map((each) => [each.code, each]));

export const DTYPE_NAMES = new Set(BY_NAME.keys());

/**
 * Returns the dtype of that name.
 * @param {string} name
 */
export function dtypeNamed(name) {
  return BY_NAME.get(name);
}

/**
 * Returns the dtype of that code, without a byte order.
 * @param {string} code
 */
export function dtypeOfCode(code) {
  return BY_CODE.get(code);
}

/**
 * @param {string} name
 * @param {string} code
 * @param {{ new (buffer: ArrayBuffer): TypedArray, BYTES_PER_ELEMENT: number }} kind
 * @param {number} perItem
 * @returns {Dtype}
 */
function dtype(name, code, kind, perItem = 1) {
  return {
    name,
    code,
    itemBytes: kind.BYTES_PER_ELEMENT * perItem,
    perItem,
    swapBytes: kind.BYTES_PER_ELEMENT,
    view: (buffer) => new kind(buffer),
  };
}
