/** Case `sizes`, postMessage: a bare worker thread, structured clone of the whole event. */
import { Worker } from 'node:worker_threads'
import type { Subject } from '../measure.js'
import { type Blob, blobEvents } from '../plugins/blob-contract.js'

export async function open({ eventBytes }: { eventBytes: number }): Promise<Subject<Blob>> {
  const worker = new Worker(new URL('./blob-port-worker.js', import.meta.url))
  const waiting = new Map<number, (answer: { kind: string }) => void>()
  let nextId = 0
  worker.on('message', ({ id, answer }: { id: number; answer: { kind: string } }) => {
    waiting.get(id)?.(answer)
    waiting.delete(id)
  })
  return {
    ...blobEvents(eventBytes),
    ask: (event) =>
      new Promise((resolve) => {
        const id = nextId++
        waiting.set(id, resolve)
        worker.postMessage({ id, event })
      }),
    close: async () => {
      await worker.terminate()
    },
  }
}
