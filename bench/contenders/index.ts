/**
 * The contenders by name: the door through which benches, and whoever else compares, seat them. Nothing is imported
 * before a contender is opened, in its own process.
 */
import type { Seat } from '../turns.js'

export { type DeliveryEvent, deliveryEvents, type GateAnswer, limitPayload, MAX_BYTES } from './delivery-events.js'

export const CONTENDERS = {
  inline: { module: new URL('./inline.js', import.meta.url), options: {} },
  floor: { module: new URL('./floor.js', import.meta.url), options: {} },
  postMessage: { module: new URL('./post-message.js', import.meta.url), options: {} },
  comlink: { module: new URL('./comlink.js', import.meta.url), options: {} },
  piscina: { module: new URL('./piscina.js', import.meta.url), options: {} },
  tinypool: { module: new URL('./tinypool.js', import.meta.url), options: {} },
  workerpool: { module: new URL('./workerpool.js', import.meta.url), options: {} },
  hookring: { module: new URL('./hookring.js', import.meta.url), options: {} },
  'hookring-spin': { module: new URL('./hookring.js', import.meta.url), options: { wait: 'spin' } },
} as const satisfies Record<string, { module: URL; options: unknown }>

export type ContenderName = keyof typeof CONTENDERS
export const CONTENDER_NAMES = Object.keys(CONTENDERS) as ContenderName[]

export const LEVELS = [1, 16, 512] as const

/** A seat for takeTurns. The floor answers one call at a time, so it sits at level 1 only. */
export function seatContender(name: ContenderName, levels: readonly number[] = LEVELS): Seat {
  const inFlight = name === 'floor' ? levels.filter((level) => level === 1) : levels
  return { name, ...CONTENDERS[name], inFlight }
}
