/** Case `chain`: an engine with so many plugins, all in one bulkhead (one hop) or each in its own (as many hops). */
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { type DeliveryEvent, deliveryEvents, MAX_BYTES } from '../contenders/delivery-events.js'
import type { Subject } from '../instruments.js'

export interface ChainOptions {
  plugins: number
  bulkheads: 'one' | 'several'
}

export async function open({ plugins, bulkheads }: ChainOptions): Promise<Subject<DeliveryEvent>> {
  const engine = await createHookEngine({
    contract: delivery,
    plugins: Array.from({ length: plugins }, (_, index) => ({
      from: new URL('../plugins/limit.js', import.meta.url),
      name: `limit-${index + 1}`,
      // Only the last plugin refuses: every event goes the whole way.
      config: { maxBytes: index === plugins - 1 ? MAX_BYTES : 1e9 },
      ...(bulkheads === 'several' && { bulkhead: `bulkhead-${index + 1}` }),
    })),
  })
  return {
    ...deliveryEvents(),
    ask: (event) => engine.hooks.onMessageEnqueue(event),
    close: () => engine.close(),
  }
}
