/** Contender `workerpool`: one worker thread. It gives a worker one task at a time; the rest wait in its queue. */
import { fileURLToPath } from 'node:url'
import workerpool from 'workerpool'
import type { Subject } from '../measure.js'
import { type DeliveryEvent, deliveryEvents, type GateAnswer } from './delivery-events.js'

export async function open(): Promise<Subject<DeliveryEvent>> {
  const pool = workerpool.pool(fileURLToPath(new URL('./workerpool-worker.js', import.meta.url)), {
    workerType: 'thread',
    minWorkers: 1,
    maxWorkers: 1,
  })
  return {
    ...deliveryEvents(),
    ask: (event) => pool.exec('gate', [event]) as unknown as PromiseLike<GateAnswer>,
    close: async () => {
      await pool.terminate(true)
    },
  }
}
