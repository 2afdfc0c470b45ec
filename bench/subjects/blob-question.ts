/** Case `sizes` without hookring: structured clone of the whole event, of which the work reads the last byte. */
import type { Events, Work } from '../instruments.js'
import { type Blob, blobEvents, isBlobRefused } from '../plugins/blob-contract.js'

export async function openEvents({ eventBytes }: { eventBytes: number }): Promise<Events> {
  return blobEvents(eventBytes)
}

export async function openWork(): Promise<Work> {
  return (event) => ({ kind: isBlobRefused((event as Blob).body) ? 'reject' : 'continue' })
}
