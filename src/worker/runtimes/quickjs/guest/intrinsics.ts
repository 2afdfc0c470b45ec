/**
 * Guest code: what the trusted part of a guest works with, taken before any of the plugin's code runs. Whatever the plugin
 * does to its prototypes later, these are what they were. Runs in QuickJS from its source text, so it refers to nothing
 * outside itself.
 */
export function captureIntrinsics() {
  const bytesPrototype = Reflect.getPrototypeOf(Uint8Array.prototype) as object
  const getter = (target: object, key: PropertyKey) =>
    (Reflect.getOwnPropertyDescriptor(target, key) as PropertyDescriptor).get as () => unknown
  const typedArray = bytesPrototype as unknown as Uint8Array
  return {
    apply: Reflect.apply,
    prototypeOf: Reflect.getPrototypeOf,
    define: Reflect.defineProperty,
    keys: Object.keys,
    freeze: Object.freeze,
    isArray: Array.isArray,
    isInteger: Number.isInteger,
    isNumber: Number.isFinite,
    stringify: JSON.stringify,
    parse: JSON.parse,
    now: Date.now,
    floor: Math.floor,
    Bytes: Uint8Array,
    Bytes16: Uint16Array,
    Ints: Int32Array,
    Words: Uint32Array,
    Doubles: Float64Array,
    Unsigned64: BigUint64Array,
    Signed64: BigInt64Array,
    Calendar: Date,
    Big: BigInt,
    Num: Number,
    Str: String,
    Err: Error,
    TypeErr: TypeError,
    RangeErr: RangeError,
    Later: Promise,
    Table: Map,
    objectPrototype: Object.prototype,
    tagOf: getter(bytesPrototype, Symbol.toStringTag),
    lengthOf: getter(bytesPrototype, 'length'),
    bufferOf: getter(bytesPrototype, 'buffer'),
    offsetOf: getter(bytesPrototype, 'byteOffset'),
    set: typedArray.set,
    getTime: Date.prototype.getTime,
    bind: Function.prototype.bind,
    // biome-ignore lint/suspicious/noThenProperty: nobody awaits this object
    then: Promise.prototype.then,
    resolve: Promise.resolve,
    slice: String.prototype.slice,
    charCodeAt: String.prototype.charCodeAt,
    codePointAt: String.prototype.codePointAt,
    fromCodePoint: String.fromCodePoint,
    mapGet: Map.prototype.get,
    mapSet: Map.prototype.set,
    mapDelete: Map.prototype.delete,
    mapForEach: Map.prototype.forEach,
    sizeOf: getter(Map.prototype, 'size'),
  }
}

export type Intrinsics = ReturnType<typeof captureIntrinsics>
