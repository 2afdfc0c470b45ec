/** What the contenders of case `peers` are asked, and how they answer; see delivery-events.ts. */
import type { Events, Work } from '../instruments.js'
import { type DeliveryEvent, deliveryEvents, limitPayload } from './delivery-events.js'

export async function openEvents(): Promise<Events> {
  return deliveryEvents()
}

export async function openWork(): Promise<Work> {
  return (event) => limitPayload(event as DeliveryEvent)
}
