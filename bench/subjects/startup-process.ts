/** Case `startup`: one process that starts an engine with one plugin and so many lanes, and says how long it took. */
import { setTimeout as sleep } from 'node:timers/promises'
import { deliveryEvents, MAX_BYTES } from '../contenders/delivery-events.js'
import { answerRequests } from '../instruments.js'

export interface StartupFigures {
  readonly importMs: number
  /** From the call of createHookEngine to an engine that serves. */
  readonly readyMs: number
  readonly firstVerdictMs: number
  readonly secondVerdictMs: number
  readonly closeMs: number
  readonly rssBytes: number
}

answerRequests(async ({ workers }: { workers: number }): Promise<StartupFigures> => {
  const startMs = performance.now()
  const { createHookEngine } = await import('hookring')
  const { delivery } = await import('hookring/contracts')
  const { payloadLimiter } = await import('hookring/hooks')
  const importedMs = performance.now()
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [payloadLimiter({ maxBytes: MAX_BYTES })],
    workers,
  })
  const readyMs = performance.now()
  const [event] = deliveryEvents().events
  if (event === undefined) throw new Error('no event')
  const askedMs = performance.now()
  await engine.hooks.onMessageEnqueue(event)
  const firstMs = performance.now()
  await engine.hooks.onMessageEnqueue(event)
  const secondMs = performance.now()
  // The spare boots in the background; memory is read when it has.
  await sleep(500)
  const rssBytes = process.memoryUsage.rss()
  const closingMs = performance.now()
  await engine.close()
  return {
    importMs: importedMs - startMs,
    readyMs: readyMs - importedMs,
    firstVerdictMs: firstMs - askedMs,
    secondVerdictMs: secondMs - firstMs,
    closeMs: performance.now() - closingMs,
    rssBytes,
  }
})
