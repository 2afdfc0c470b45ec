/** Case `memory`: one process that makes calls and reloads without end, and samples its own memory after each portion. */
import { setImmediate as turn } from 'node:timers/promises'
import { createHookEngine, type HookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { payloadLimiter } from 'hookring/hooks'
import { deliveryEvents, MAX_BYTES } from '../contenders/delivery-events.js'
import { answerRequests } from '../instruments.js'

export type MemoryRequest =
  | { readonly kind: 'calls'; readonly count: number; readonly inFlight: number }
  | { readonly kind: 'reloads'; readonly count: number }
  | { readonly kind: 'close' }

export interface MemorySample {
  readonly rssMb: number
  /** After a full collection. */
  readonly heapMb: number
  /** ArrayBuffers, shared ones included, in MiB: rings and their mirrors among them. */
  readonly buffersMb: number
}

const { events } = deliveryEvents()
let engine: HookEngine<typeof delivery.hookpoints> | undefined

answerRequests(async (request: MemoryRequest): Promise<MemorySample> => {
  engine ??= await createHookEngine({ contract: delivery, plugins: [payloadLimiter({ maxBytes: MAX_BYTES })] })
  switch (request.kind) {
    case 'calls':
      await call(engine, request.count, request.inFlight)
      break
    case 'reloads':
      for (let i = 0; i < request.count; i += 1) await engine.reload('payload-limiter')
      break
    case 'close':
      await engine.close()
      engine = undefined
  }
  return sample()
})

async function call({ hooks }: HookEngine<typeof delivery.hookpoints>, count: number, inFlight: number): Promise<void> {
  let left = count
  const loop = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await hooks.onMessageEnqueue(events[left % events.length]!)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, loop))
}

async function sample(): Promise<MemorySample> {
  // Threads that were let go of, and what finalizers free, take some turns to go.
  for (let i = 0; i < 4; i += 1) {
    globalThis.gc?.()
    await turn()
  }
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  return { rssMb: rss / 2 ** 20, heapMb: heapUsed / 2 ** 20, buffersMb: arrayBuffers / 2 ** 20 }
}
