/** The worker of contender `postMessage`. */
import { parentPort } from 'node:worker_threads'
import { type DeliveryEvent, limitPayload } from './delivery-events.js'

parentPort?.on('message', ({ id, event }: { id: number; event: DeliveryEvent }) => {
  parentPort?.postMessage({ id, answer: limitPayload(event) })
})
