/** Case `sizes`, hookring: default settings, one plugin that reads the event's last byte. */
import { createHookEngine } from 'hookring'
import type { Subject } from '../instruments.js'
import { type Blob, blobEvents, blobs } from '../plugins/blob-contract.js'

export async function open({ eventBytes }: { eventBytes: number }): Promise<Subject<Blob>> {
  const engine = await createHookEngine({
    contract: blobs,
    plugins: [{ from: new URL('../plugins/blob-check.js', import.meta.url) }],
  })
  return {
    ...blobEvents(eventBytes),
    ask: (event) => engine.hooks.onBlob(event),
    close: () => engine.close(),
  }
}
