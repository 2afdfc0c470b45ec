/** Contender `inline`: the gate as a plain async function on the server's own thread. No isolation; the lower bound. */
import type { Subject } from '../measure.js'
import { type DeliveryEvent, deliveryEvents, limitPayload } from './delivery-events.js'

export async function open(): Promise<Subject<DeliveryEvent>> {
  return {
    ...deliveryEvents(),
    ask: async (event) => limitPayload(event),
    close: async () => {},
  }
}
