/**
 * Images of a VM's memory. Loading a plugin takes QuickJS a hundred milliseconds where zod is in its bundle; a copy of
 * the memory that it leaves behind takes a few. An image is taken when the bundle has been evaluated and before setup, and
 * kept beside the bundle, in the engine's own folder, for the lanes that load it later. The lane's thread only.
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'

export interface Image {
  readonly machine: string
  /** Bytes of memory when it was taken. */
  readonly bytes: number
  /** Addresses that the lane knows things by. */
  readonly pointers: Readonly<Record<string, number>>
  /** What the plugin was found to be. */
  readonly defined: string
  /** The pages that are not all zero, one after the other, and their indexes. */
  readonly pages: Uint8Array
  readonly indexes: Uint32Array
}

const PAGE_BYTES = 4096
/** What is said of an image, besides its pages and their indexes; and the indexes of the largest. */
const MAX_HEAD_BYTES = 2 * 1024 * 1024

export function takeImage(memory: Uint8Array, about: Pick<Image, 'machine' | 'pointers' | 'defined'>): Image {
  const words = new Float64Array(memory.buffer, memory.byteOffset, memory.byteLength / 8)
  const bits = new Int32Array(memory.buffer, memory.byteOffset, memory.byteLength / 4)
  const found: number[] = []
  for (let page = 0; page < memory.length / PAGE_BYTES; page += 1) {
    if (!isZero(words, bits, page)) found.push(page)
  }
  const pages = new Uint8Array(found.length * PAGE_BYTES)
  for (const [i, page] of found.entries()) {
    pages.set(memory.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES), i * PAGE_BYTES)
  }
  return { ...about, bytes: memory.length, pages, indexes: Uint32Array.from(found) }
}

/** Most pages are decided by one look; a double that is zero may be -0, so the bits have the last word. */
function isZero(words: Float64Array, bits: Int32Array, page: number): boolean {
  const first = (page * PAGE_BYTES) / 8
  for (let i = first; i < first + PAGE_BYTES / 8; i += 1) if (words[i] !== 0) return false
  const firstBits = first * 2
  for (let i = firstBits; i < firstBits + PAGE_BYTES / 4; i += 1) if (bits[i] !== 0) return false
  return true
}

/** Over memory that a machine has just been started in, which may have written only where the image has pages. */
export function restoreImage(memory: Uint8Array, { pages, indexes }: Image): void {
  for (let i = 0; i < indexes.length; ) {
    // Neighbours are copied together.
    let end = i + 1
    while (end < indexes.length && indexes[end] === (indexes[end - 1] as number) + 1) end += 1
    memory.set(pages.subarray(i * PAGE_BYTES, end * PAGE_BYTES), (indexes[i] as number) * PAGE_BYTES)
    i = end
  }
}

/**
 * Null: there is none, it is of another machine, or of a memory that is larger than the plugin may have.
 *
 * @param mostBytes of the VM's memory
 */
export function readImage(file: string, machine: string, mostBytes: number): Image | null {
  let bytes: Buffer
  try {
    if (statSync(file).size > mostBytes + MAX_HEAD_BYTES) return null
    bytes = readFileSync(file)
  } catch {
    return null
  }
  try {
    const aboutBytes = bytes.readUInt32LE(0)
    if (aboutBytes > MAX_HEAD_BYTES) return null
    const { count, ...about } = JSON.parse(bytes.toString('utf8', 4, 4 + aboutBytes)) as Image & { count: number }
    if (about.machine !== machine || !isBounded(about, count, mostBytes)) return null
    const indexesAt = 4 + aboutBytes
    const pagesAt = indexesAt + count * 4
    if (bytes.length !== pagesAt + count * PAGE_BYTES) return null
    const indexes = new Uint32Array(bytes.buffer.slice(bytes.byteOffset + indexesAt, bytes.byteOffset + pagesAt))
    if (indexes.some((page) => (page + 1) * PAGE_BYTES > about.bytes)) return null
    return { ...about, indexes, pages: bytes.subarray(pagesAt) }
  } catch {
    return null
  }
}

/** Where things stand is inside of the memory, and the memory inside of its bound. */
function isBounded({ bytes, pointers, defined }: Omit<Image, 'pages' | 'indexes'>, count: number, mostBytes: number) {
  if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > mostBytes || typeof defined !== 'string') return false
  if (!Number.isSafeInteger(count) || count < 0 || count * PAGE_BYTES > bytes) return false
  return Object.values(pointers).every((at) => Number.isSafeInteger(at) && at >= 0 && at <= bytes)
}

/** Whole or not at all: another lane may be reading. Without effect where files cannot be written. */
export function writeImage(file: string, { pages, indexes, ...about }: Image): void {
  const head = Buffer.from(JSON.stringify({ ...about, count: indexes.length }))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.length)
  const unfinished = `${file}.${threadId}`
  try {
    writeFileSync(unfinished, Buffer.concat([length, head, Buffer.from(indexes.buffer), pages]))
    renameSync(unfinished, file)
  } catch {
    // The next lane takes its time, as this one did.
  }
}
