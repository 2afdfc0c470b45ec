/** Case `sizes`, piscina: one worker thread, structured clone of the whole event. */

import { openPool } from '../contenders/piscina.js'
import type { Subject } from '../measure.js'
import { type Blob, blobEvents } from '../plugins/blob-contract.js'

export async function open({ eventBytes }: { eventBytes: number }): Promise<Subject<Blob>> {
  const pool = openPool('async', new URL('./blob-worker.js', import.meta.url))
  return {
    ...blobEvents(eventBytes),
    ask: (event) => pool.run(event) as Promise<{ kind: string }>,
    close: () => pool.destroy(),
  }
}
