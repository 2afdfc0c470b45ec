/** Contender `postMessage`: a bare worker thread, one message per event and one per verdict, and a map of who waits. */
import { Worker } from 'node:worker_threads'
import type { Subject } from '../measure.js'
import { type DeliveryEvent, deliveryEvents, type GateAnswer } from './delivery-events.js'

export async function open(): Promise<Subject<DeliveryEvent>> {
  const worker = new Worker(new URL('./post-message-worker.js', import.meta.url))
  const waiting = new Map<number, (answer: GateAnswer) => void>()
  let nextId = 0
  worker.on('message', ({ id, answer }: { id: number; answer: GateAnswer }) => {
    waiting.get(id)?.(answer)
    waiting.delete(id)
  })
  return {
    ...deliveryEvents(),
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
