/** A 32-bit hash of a field's value: the key by which calls choose their lane. Pure, host's thread. */

/** Of longer strings and byte arrays only length, head and tail are hashed: the key may be as large as the event. */
const MAX_HASHED_LENGTH = 1024
const HASHED_END_LENGTH = MAX_HASHED_LENGTH / 2

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193
const TWO_32 = 2 ** 32

/**
 * A 32-bit hash of a key, the same in every process: FNV-1a with murmur's finalizer. Equal keys have equal hashes, also a
 * number and a bigint of the same value. null and undefined are one key. A Date is hashed by its milliseconds; all other
 * objects are one key.
 */
export function hashKey(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return hashString(value)
    case 'number':
      return hashNumber(value)
    case 'bigint':
      return hashBigint(value)
    case 'boolean':
      return finalize(mix(FNV_OFFSET, value ? 3 : 2))
    default:
      if (value instanceof Uint8Array) return hashBytes(value)
      if (value instanceof Date) return hashNumber(value.getTime())
      return finalize(mix(FNV_OFFSET, 1))
  }
}

function mix(hash: number, unit: number): number {
  return Math.imul(hash ^ unit, FNV_PRIME)
}

function finalize(hash: number): number {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function hashString(text: string): number {
  const { length } = text
  let hash = FNV_OFFSET
  const headEnd = length > MAX_HASHED_LENGTH ? HASHED_END_LENGTH : length
  for (let index = 0; index < headEnd; index++) hash = mix(hash, text.charCodeAt(index))
  if (headEnd < length) {
    hash = mix(hash, length)
    for (let index = length - HASHED_END_LENGTH; index < length; index++) hash = mix(hash, text.charCodeAt(index))
  }
  return finalize(hash)
}

function hashBytes(bytes: Uint8Array): number {
  const { length } = bytes
  let hash = FNV_OFFSET
  const headEnd = length > MAX_HASHED_LENGTH ? HASHED_END_LENGTH : length
  for (let index = 0; index < headEnd; index++) hash = mix(hash, bytes[index]!)
  if (headEnd < length) {
    hash = mix(hash, length)
    for (let index = length - HASHED_END_LENGTH; index < length; index++) hash = mix(hash, bytes[index]!)
  }
  return finalize(hash)
}

function hashNumber(value: number): number {
  if (Number.isSafeInteger(value)) return hashWords(value | 0, Math.floor(value / TWO_32) | 0)
  if (Number.isInteger(value)) return hashBigint(BigInt(value))
  scratch[0] = value
  return hashWords(scratchWords[0]!, scratchWords[1]!)
}

function hashBigint(value: bigint): number {
  if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) return hashNumber(Number(value))
  return hashWords(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)))
}

function hashWords(low: number, high: number): number {
  return finalize(mix(finalize(mix(FNV_OFFSET, low)), high))
}

const scratch = new Float64Array(1)
const scratchWords = new Int32Array(scratch.buffer)
