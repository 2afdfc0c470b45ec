/** Both sides of a ring: what each sees of the other, and in what order, wherever the sequences start. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as layout from '../../dist/ring/layout.js'
import { NOTHING } from '../../dist/ring/worker-ring.js'
import { rings, SLOTS, submission } from '../support/rings.js'

const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

/** Where sequences and use counts start: at 0, and just before each of their ends. */
const STARTS = [0, 1, -3, 2 ** 29 - 3, 2 ** 31 - 3, 2 ** 31, 2 ** 32 - 3]

describe.each(STARTS)('with sequences that start at %i', (start) => {
  it('submissions are seen when they are published, in their order', () => {
    const { host, worker } = rings(start)
    host.submit(3, submission({ hookpoint: 7, mask: 0b101 }))
    host.setDeadline(3, 1.5)
    host.submit(1, submission())
    expect(worker.hasSubmissions()).toBe(false)
    expect(worker.claim()).toBe(NOTHING)
    host.publish()
    expect(worker.hasSubmissions()).toBe(true)
    expect([worker.claim(), worker.claim(), worker.claim()]).toEqual([3, 1, NOTHING])
    expect(worker.word(3, layout.HOOKPOINT_WORD)).toBe(7)
    expect(worker.word(3, layout.MASK_WORD)).toBe(0b101)
    expect(worker.deadlineMs(3)).toBe(1.5)
  })

  it('completions come in the order in which they were made', () => {
    const { host, worker } = rings(start)
    for (const slot of [0, 1, 2]) host.submit(slot, submission())
    host.publish()
    for (const slot of [worker.claim(), worker.claim(), worker.claim()]) expect(host.isClaimed(slot)).toBe(true)
    expect(host.hasCompletions()).toBe(false)
    worker.complete(2)
    worker.complete(0)
    expect(host.hasCompletions()).toBe(true)
    expect([host.takeCompletion(), host.takeCompletion(), host.takeCompletion()]).toEqual([2, 0, NOTHING])
    expect(host.release(2)).toBe(true)
    expect(host.isClaimed(2)).toBe(false)
    expect(host.isClaimed(1)).toBe(true)
  })

  it('slots are used again and again', () => {
    const { host, worker } = rings(start)
    for (let round = 0; round < 5 * SLOTS; round += 1) {
      const slot = round % SLOTS
      host.submit(slot, submission({ hookpoint: round }))
      host.publish()
      expect(worker.claim()).toBe(slot)
      expect(worker.hasSubmissions()).toBe(false)
      expect(worker.word(slot, layout.HOOKPOINT_WORD)).toBe(round)
      expect(host.release(slot)).toBe(false)
      expect(host.hasCompletions()).toBe(false)
      worker.complete(slot)
      expect(host.hasCompletions()).toBe(true)
      expect(host.takeCompletion()).toBe(slot)
      expect(host.hasCompletions()).toBe(false)
      expect(host.release(slot)).toBe(true)
    }
  })

  it('a slot is either claimed or recalled, whichever is first', () => {
    const { host, worker } = rings(start)
    for (let round = 0; round < 10; round += 1) {
      host.submit(0, submission())
      host.submit(1, submission())
      host.publish()
      expect(host.recall(0)).toBe(true)
      expect(host.recall(0)).toBe(false)
      // The recalled one is skipped, and comes back.
      expect(worker.claim()).toBe(1)
      expect(host.recall(1)).toBe(false)
      expect(worker.word(0, layout.OUTCOME_WORD)).toBe(layout.OUTCOME_SKIPPED)
      worker.complete(1)
      expect([host.takeCompletion(), host.takeCompletion(), host.takeCompletion()]).toEqual([0, 1, NOTHING])
      expect([host.release(0), host.release(1)]).toEqual([true, true])
    }
  })

  it('a slot that is recalled before it is published is skipped too', () => {
    const { host, worker } = rings(start)
    host.submit(0, submission())
    expect(host.recall(0)).toBe(true)
    host.publish()
    expect(worker.claim()).toBe(NOTHING)
    expect(host.takeCompletion()).toBe(0)
    expect(host.release(0)).toBe(true)
    expect(host.recall(0)).toBe(false)
  })

  it('a completion of an earlier use is not taken for one of this use', () => {
    const { host, worker, words, stateAt } = rings(start)
    host.submit(0, submission())
    host.publish()
    worker.claim()
    worker.complete(0)
    const completed = Atomics.load(words, stateAt(0))
    host.takeCompletion()
    host.release(0)
    host.submit(0, submission())
    Atomics.store(words, stateAt(0), completed)
    expect(host.release(0)).toBe(false)
    expect(host.recall(0)).toBe(false)
  })
})

/* Any order of steps against a model: every submitted slot comes back once, run or skipped, never both. */

type Step = 'submit' | 'publish' | 'claim' | 'complete' | 'recall' | 'take'
const steps = fc.array(
  fc.tuple(fc.constantFrom<Step>('submit', 'publish', 'claim', 'complete', 'recall', 'take'), fc.nat(SLOTS * 4)),
  { maxLength: 300 },
)

it(`every slot comes back exactly once, run or recalled (seed ${SEED})`, () => {
  fc.assert(
    fc.property(steps, fc.constantFrom(...STARTS), (script, start) => {
      const { host, worker } = rings(start)
      const free = Array.from({ length: SLOTS }, (_, slot) => slot)
      const submitted: number[] = []
      const published: number[] = []
      const recalled = new Set<number>()
      const claimed: number[] = []
      const completed: number[] = []
      const perform = (step: Step, pick: number) => {
        if (step === 'submit' && free.length > 0) {
          const slot = free.splice(pick % free.length, 1)[0] as number
          host.submit(slot, submission())
          submitted.push(slot)
        } else if (step === 'publish') {
          host.publish()
          published.push(...submitted.splice(0))
        } else if (step === 'claim') {
          while (published.length > 0 && recalled.has(published[0] as number))
            completed.push(published.shift() as number)
          const expected = published.shift() ?? NOTHING
          expect(worker.claim()).toBe(expected)
          if (expected !== NOTHING) claimed.push(expected)
        } else if (step === 'complete' && claimed.length > 0) {
          const slot = claimed.splice(pick % claimed.length, 1)[0] as number
          worker.complete(slot)
          completed.push(slot)
        } else if (step === 'recall') {
          const inFlight = [...submitted, ...published, ...claimed]
          if (inFlight.length === 0) return
          const slot = inFlight[pick % inFlight.length] as number
          const canBe = (submitted.includes(slot) || published.includes(slot)) && !recalled.has(slot)
          expect(host.recall(slot)).toBe(canBe)
          if (canBe) recalled.add(slot)
        } else if (step === 'take') {
          const expected = completed.shift() ?? NOTHING
          expect(host.takeCompletion()).toBe(expected)
          if (expected === NOTHING) return
          expect(host.release(expected)).toBe(true)
          recalled.delete(expected)
          free.push(expected)
        }
      }
      for (const [step, pick] of script) perform(step, pick)
      perform('publish', 0)
      while (published.length > 0) perform('claim', 0)
      while (claimed.length > 0) perform('complete', 0)
      while (completed.length > 0) perform('take', 0)
      expect([...free].sort()).toEqual(Array.from({ length: SLOTS }, (_, slot) => slot))
    }),
    { seed: SEED, numRuns: 300 },
  )
})
