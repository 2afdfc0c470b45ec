import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FreeList, NO_SLOT } from '../../../dist/host/primitives/free-list.js'

it('hands out each slot once, the one that has been free for the longest first', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 6 }), fc.array(fc.integer({ min: -1, max: 63 })), (log2, moves) => {
      const slotCount = 2 ** log2
      const slots = new FreeList(slotCount)
      const free = Array.from({ length: slotCount }, (_, index) => index)
      const taken: number[] = []
      for (const move of moves) {
        if (move < 0 || taken.length === 0) {
          const slot = slots.take()
          expect(slot).toBe(free.shift() ?? NO_SLOT)
          if (slot !== NO_SLOT) taken.push(slot)
        } else {
          const [slot] = taken.splice(move % taken.length, 1) as [number]
          free.push(slot)
          slots.give(slot)
        }
        expect(slots.count).toBe(free.length)
      }
    }),
  )
})
