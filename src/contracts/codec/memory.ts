/**
 * The views through which the codec reads and writes bytes. Host and worker each make them once for each lane, over the
 * lane's shared memory or over a private buffer.
 */

export interface CodecMemory {
  readonly u8: Uint8Array
  readonly view: DataView
  /** The same bytes; strings are read and written through it. */
  readonly buffer: Buffer
  /** The same bytes as words, in the machine's byte order. */
  readonly words: Words
}

interface Words {
  readonly i32: Int32Array
  readonly u64: BigUint64Array
}

/** Views over the whole of `bytes`, which must not be resizable. */
export function codecMemory(bytes: ArrayBufferLike): CodecMemory {
  return new Views(bytes)
}

class Views implements CodecMemory {
  readonly u8: Uint8Array
  readonly view: DataView
  readonly buffer: Buffer
  #words: Words | null = null

  constructor(bytes: ArrayBufferLike) {
    this.u8 = new Uint8Array(bytes)
    this.view = new DataView(bytes)
    this.buffer = Buffer.from(bytes)
  }

  /** Made when first asked for: memory that is only read does not need them. */
  get words(): Words {
    this.#words ??= wordsOf(this.u8.buffer)
    return this.#words
  }
}

function wordsOf(bytes: ArrayBufferLike): Words {
  const { byteLength } = bytes
  return { i32: new Int32Array(bytes, 0, byteLength >> 2), u64: new BigUint64Array(bytes, 0, byteLength >> 3) }
}

/** Empty memory. It is set between calls, so that nothing of the last call is retained. */
export const NO_MEMORY: CodecMemory = codecMemory(new ArrayBuffer(0))

const typedArrayPrototype: object = Object.getPrototypeOf(Uint8Array.prototype)

function intrinsicGetter<T>(prototype: object, key: PropertyKey): (this: unknown) => T {
  const getter = Object.getOwnPropertyDescriptor(prototype, key)?.get
  if (getter === undefined) throw new Error(`no intrinsic getter ${String(key)}`)
  return getter
}

const tagOf = intrinsicGetter<string | undefined>(typedArrayPrototype, Symbol.toStringTag)
const lengthOf = intrinsicGetter<number>(typedArrayPrototype, 'length')
const bufferOf = intrinsicGetter<ArrayBufferLike & { resizable?: boolean; growable?: boolean }>(
  typedArrayPrototype,
  'buffer',
)
const offsetOf = intrinsicGetter<number>(typedArrayPrototype, 'byteOffset')

/** V8 may keep arrays of up to this many bytes in its heap; asking for their buffer moves them out. */
const SMALL_BYTES = 64

/** True for Uint8Arrays of any realm and subclass. It runs none of the caller's code, so proxies are refused. */
export function isBytes(value: unknown): value is Uint8Array {
  return tagOf.call(value) === 'Uint8Array'
}

/** The real length of the bytes, whatever a subclass returns. */
export function bytesLength(value: Uint8Array): number {
  return lengthOf.call(value)
}

/** Whether the buffer was transferred away. Its views then have no bytes, like those of an empty array. */
export function isDetached(value: Uint8Array): boolean {
  try {
    new Uint8Array(bufferOf.call(value))
    return false
  } catch {
    return true
  }
}

/** Copies exactly `length` bytes, even if another thread grows the source meanwhile. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, length: number): void {
  if (length <= SMALL_BYTES) {
    // Eight at a time: as fast as set(), and not slower when it meets many kinds of arrays.
    let i = 0
    for (; i + 8 <= length; i += 8) {
      const to = at + i
      target[to] = source[i]!
      target[to + 1] = source[i + 1]!
      target[to + 2] = source[i + 2]!
      target[to + 3] = source[i + 3]!
      target[to + 4] = source[i + 4]!
      target[to + 5] = source[i + 5]!
      target[to + 6] = source[i + 6]!
      target[to + 7] = source[i + 7]!
    }
    for (; i < length; i++) target[at + i] = source[i]!
    return
  }
  const buffer = bufferOf.call(source)
  const isFixed = buffer.resizable !== true && buffer.growable !== true
  target.set(isFixed ? source : new Uint8Array(buffer, offsetOf.call(source), length), at)
}
