/**
 * What the soak's plugins decide when nothing is wrong with them: pure functions of the event. The plugins call them in
 * their lanes; the run calls them to know which verdicts are true.
 */
import { measureOf, type SoakEvent } from './events.js'

export type Decision =
  | { readonly kind: 'continue' }
  | { readonly kind: 'reject'; readonly reason: string }
  | { readonly kind: 'replace'; readonly event: SoakEvent }
  | { readonly kind: 'respond'; readonly value: SoakEvent }

/** A plugin in one of its versions: reloads make the next one. */
export interface Actor {
  readonly role: string
  readonly version: number
}

export const LIMITER_MAX_BYTES = 1000

/** A role rejects when its number divides the event's figure. */
const DIVISORS: Readonly<Record<string, number>> = {
  audit: 3,
  sampler: 5,
  stock: 7,
  clerk: 7,
  left: 7,
  aide: 7,
  fraud: 11,
  porter: 11,
  mid: 11,
  scribe: 11,
  tax: 13,
  right: 13,
  narrow: 13,
  guest: 17,
  quoter: 19,
}

/** Which third of the quotes a role answers. */
const ANSWERS: Readonly<Record<string, number>> = { stock: 0, fraud: 1, quoter: 2 }

const CONTINUES: Decision = { kind: 'continue' }

export function decide({ role, version }: Actor, hookpoint: string, event: SoakEvent): Decision {
  const measure = measureOf(event)
  switch (hookpoint) {
    case 'onMessageEnqueue':
      if (role === 'payload-limiter') {
        if (measure <= LIMITER_MAX_BYTES) return CONTINUES
        return { kind: 'reject', reason: `payload too large: ${measure} > ${LIMITER_MAX_BYTES} bytes` }
      }
      return rejection(role, measure, Number(event.seq))
    case 'onOrder':
    case 'onPost':
    case 'onBlob':
    case 'onAsk':
      return rejection(role, measure, Number(event.id))
    case 'onPrice': {
      const steps = event.steps as readonly string[]
      if (measure % ((DIVISORS[role] ?? 1) * 3) === 0) return rejection(role, measure, Number(event.id))
      if (role === 'tax' && measure % 2 === 0) return CONTINUES
      const { id, customer, cents } = event
      return { kind: 'replace', event: { id, customer, cents, steps: [...steps, `${role}@${version}`] } }
    }
    case 'onQuote':
      if (measure % 3 !== ANSWERS[role] || measure % 5 === 0) return CONTINUES
      return {
        kind: 'respond',
        value: { id: event.id, cents: measure * 2, text: `${role}@${version} ${String(event.sku)}` },
      }
    default:
      return CONTINUES
  }
}

function rejection(role: string, measure: number, id: number): Decision {
  if (measure % (DIVISORS[role] ?? 1) !== 0) return CONTINUES
  return { kind: 'reject', reason: `${role} does not take ${measure} of call ${id}` }
}
