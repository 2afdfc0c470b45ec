/**
 * Contenders `hookring` and `hookring-spin`: the engine as it ships, with the payload limiter that ships. Deadlines,
 * metrics and the breaker are on; the only option that `hookring-spin` sets is `wait`.
 */
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { payloadLimiter } from 'hookring/hooks'
import type { Subject } from '../instruments.js'
import { type DeliveryEvent, deliveryEvents, MAX_BYTES } from './delivery-events.js'

export async function open(options: { wait?: 'adaptive' | 'park' | 'spin' } = {}): Promise<Subject<DeliveryEvent>> {
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [payloadLimiter({ maxBytes: MAX_BYTES })],
    ...options,
  })
  return {
    ...deliveryEvents(),
    ask: (event) => engine.hooks.onMessageEnqueue(event),
    close: () => engine.close(),
  }
}
