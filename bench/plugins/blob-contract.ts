/** The contract of case `sizes`: an event that is little more than its bytes. Imported by host and plugin alike. */
import { bytes, defineContract, gate, u64 } from 'hookring/contracts'
import { z } from 'zod'

export const blobs = defineContract('bench-blobs', 1, {
  onBlob: gate(z.object({ seq: u64(), body: bytes() })),
})

export interface Blob {
  readonly seq: bigint
  readonly body: Uint8Array
}

/** What an event needs beside its body, with room to spare: `eventBytes` is the size of the whole. */
const HEAD_BYTES = 32
const LARGEST_SET_BYTES = 16 * 1024 * 1024

/** The gate: bytes must be read to know. */
export function isBlobRefused(body: Uint8Array): boolean {
  return body[body.length - 1] === 1
}

/** Events of one size, a power of two of them; one in 16 must be rejected. */
export function blobEvents(eventBytes: number): { events: Blob[]; rejects: boolean[] } {
  const count = Math.max(16, Math.min(64, LARGEST_SET_BYTES / eventBytes))
  const events = Array.from({ length: count }, (_, index): Blob => {
    const body = new Uint8Array(eventBytes - HEAD_BYTES).fill(index)
    body[body.length - 1] = index % 16 === 15 ? 1 : 0
    return { seq: BigInt(index), body }
  })
  return { events, rejects: events.map((event) => isBlobRefused(event.body)) }
}
