/**
 * Images of a VM's memory. Loading a plugin takes QuickJS a hundred milliseconds where zod is in its bundle; a copy of
 * the memory that it leaves behind takes a few. An image is taken when the bundle has been evaluated and before setup, and
 * kept beside the bundle, in the engine's own folder, for the lanes that load it later. The lane's thread only.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
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

/** Null: there is none, or it is of another machine. */
export function readImage(file: string, machine: string): Image | null {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch {
    return null
  }
  try {
    const aboutBytes = bytes.readUInt32LE(0)
    const { count, ...about } = JSON.parse(bytes.toString('utf8', 4, 4 + aboutBytes)) as Image & { count: number }
    if (about.machine !== machine) return null
    const indexesAt = 4 + aboutBytes
    const pagesAt = indexesAt + count * 4
    if (bytes.length !== pagesAt + count * PAGE_BYTES) return null
    const indexes = new Uint32Array(bytes.buffer.slice(bytes.byteOffset + indexesAt, bytes.byteOffset + pagesAt))
    return { ...about, indexes, pages: bytes.subarray(pagesAt) }
  } catch {
    return null
  }
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
