/**
 * A plugin that owns its lane: it gets hold of the ring's memory by standing in for Atomics.store, and when an event orders
 * an attack it takes over inside of the hook and never returns. Until then it answers honestly, by the call's tag.
 */
import { definePlugin, reject, replace } from 'hookring/plugin'
import { z } from 'zod'
import { siege } from '../contract.mjs'
import { createRandom, IN_FORCE_WORD, TIMEOUT_WORD, WANTED_WORD } from '../orders.mjs'
import { tagOf } from '../verdicts.mjs'
import { CARRY_OUT } from './attacks.mjs'
import { ownRing } from './owned-ring.mjs'

const { store, load } = Atomics
let words = null
Atomics.store = (array, index, value) => {
  if (array instanceof Int32Array && array.buffer.byteLength > 65_536) words = array
  return store(array, index, value)
}

function takeOver({ order, seed }, orders) {
  const random = createRandom(seed)
  const ring = ownRing(words, { orders, seed, random })
  const strike = CARRY_OUT[order]({ timeoutMs: load(orders, TIMEOUT_WORD) }, ring)
  ring.claim()
  ring.leaveNoTrace()
  store(orders, IN_FORCE_WORD, seed)
  for (;;) {
    try {
      if (!ring.isWanted()) {
        ring.breach()
        ring.rest(1)
        continue
      }
      if (ring.claim() > 0) strike(ring)
      else ring.rest()
    } catch {
      // Its own memory is nonsense by now; it goes on with what comes next.
      ring.take()
    }
  }
}

export default definePlugin(siege, {
  name: 'attacker',
  config: z.object({ orders: z.instanceof(SharedArrayBuffer), answers: z.boolean() }),
  setup({ config }) {
    const orders = new Int32Array(config.orders)
    const honest = (kind, event) => {
      if (!config.answers) return undefined
      const text = tagOf(event.id)
      if (kind === 'gate') return event.id % 2 === 0 ? reject(text) : undefined
      if (kind === 'transform') return replace({ ...event.copy(), text })
      return kind === 'respond' ? { id: event.id, text } : undefined
    }
    // An order that was not begun in a lane that is gone is given again in the next: it is no longer wanted there.
    const isOrder = ({ order, seed }) => order !== '' && load(orders, WANTED_WORD) === seed
    const hookFor = (kind) => (event) => (isOrder(event) ? takeOver(event, orders) : honest(kind, event))
    return Object.fromEntries(
      Object.entries(siege.hookpoints)
        .filter(([name]) => name !== 'onNorth' && name !== 'onSouth')
        .map(([name, { kind }]) => [name, hookFor(kind)]),
    )
  },
})
