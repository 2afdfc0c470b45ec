/**
 * The contenders of case `peers` by name: those of `hookring bench --compare`, hookring itself, and the floor. Nothing is
 * imported before a contender is opened, in its own process.
 */
import { CONTENDERS as OTHERS, type QuestionOptions } from '../instruments.js'
import type { Seat } from '../turns.js'

export { type DeliveryEvent, deliveryEvents, type GateAnswer, limitPayload, MAX_BYTES } from './delivery-events.js'

const question: QuestionOptions = { module: new URL('./delivery-question.js', import.meta.url).href, options: null }

export const CONTENDERS = {
  inline: { module: OTHERS.inline, options: question },
  floor: { module: new URL('./floor.js', import.meta.url), options: {} },
  postMessage: { module: OTHERS.postMessage, options: question },
  comlink: { module: OTHERS.comlink, options: question },
  piscina: { module: OTHERS.piscina, options: question },
  tinypool: { module: OTHERS.tinypool, options: question },
  workerpool: { module: OTHERS.workerpool, options: question },
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
