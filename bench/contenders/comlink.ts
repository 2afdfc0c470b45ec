/** Contender `comlink`: the gate as a remote function behind comlink's proxies. */
import { Worker } from 'node:worker_threads'
import { releaseProxy, wrap } from 'comlink'
import type { Subject } from '../measure.js'
import { nodeEndpoint } from './comlink-endpoint.js'
import { type DeliveryEvent, deliveryEvents, type GateAnswer } from './delivery-events.js'

export async function open(): Promise<Subject<DeliveryEvent>> {
  const worker = new Worker(new URL('./comlink-worker.js', import.meta.url))
  const gate = wrap<(event: DeliveryEvent) => GateAnswer>(await nodeEndpoint(worker))
  return {
    ...deliveryEvents(),
    ask: (event) => gate(event),
    close: async () => {
      gate[releaseProxy]()
      await worker.terminate()
    },
  }
}
