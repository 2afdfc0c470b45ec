/** Both sides of a ring in one thread: what each may see of the other, and in what order. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BROKEN, HostRing, type Submission } from '../../dist/ring/host-ring.js'
import * as layout from '../../dist/ring/layout.js'
import { NOTHING, WorkerRing } from '../../dist/ring/worker-ring.js'

const SLOTS = 8
const ARENA_BYTES = 4096
const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

const submission = (fields: Partial<Submission> = {}): Submission => ({
  hookpoint: 0,
  mask: 1,
  extentAt: 0,
  eventBytes: 0,
  traceBytes: 0,
  replyRoom: 0,
  deadlineMs: 0,
  ...fields,
})

function rings(firstSequence = 0) {
  const host = new HostRing({ slotCount: SLOTS, arenaBytes: ARENA_BYTES }, firstSequence)
  const worker = new WorkerRing(host.buffer)
  const words = new Int32Array(host.buffer)
  const { completeRingWord, slotsWord } = layout.layoutOf({ slotCount: SLOTS, arenaBytes: ARENA_BYTES })
  return { host, worker, words, completeRingWord, stateAt: (slot: number) => slotsWord + slot * layout.SLOT_WORDS + layout.STATE_WORD }
}

/** Where sequences and uses may stand: at their beginning, and just before each of their ends. */
const STARTS = [0, 1, -3, 2 ** 29 - 3, 2 ** 31 - 3, 2 ** 31, 2 ** 32 - 3]

describe.each(STARTS)('with sequences that start at %i', (start) => {
  it('what is submitted is seen when it is published, in its order', () => {
    const { host, worker } = rings(start)
    host.submit(3, submission({ hookpoint: 7, mask: 0b101, deadlineMs: 1.5 }))
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
      expect(worker.word(slot, layout.HOOKPOINT_WORD)).toBe(round)
      expect(host.release(slot)).toBe(false)
      worker.complete(slot)
      expect(host.takeCompletion()).toBe(slot)
      expect(host.release(slot)).toBe(true)
    }
  })

  it('a claim and a recall exclude each other, whichever is first', () => {
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

describe('the host', () => {
  it.each([SLOTS, -1, 0x7fff_ffff, -0x8000_0000])('refuses a completion of slot %i, which there is not', (slot) => {
    const { host, words, completeRingWord } = rings()
    words[completeRingWord] = slot
    Atomics.store(words, layout.COMPLETE_TAIL_WORD, 1)
    expect(host.takeCompletion()).toBe(BROKEN)
  })

  it.each([SLOTS + 1, -1, 0x7fff_ffff, -0x8000_0000])('refuses a completion tail that stands at %i', (tail) => {
    const { host, words } = rings()
    Atomics.store(words, layout.COMPLETE_TAIL_WORD, tail)
    expect(host.takeCompletion()).toBe(BROKEN)
    expect(host.takeCompletion()).toBe(BROKEN)
  })

  it('takes a slot number out of range for none at all', () => {
    const { host, words } = rings()
    for (const [word, expected] of [[0, -1], [1, 0], [SLOTS, SLOTS - 1], [SLOTS + 1, -1], [-5, -1]] as const) {
      words[layout.RUNNING_SLOT_WORD] = word
      expect(host.runningSlot()).toBe(expected)
    }
  })

  it('rings only for a worker that said that it sleeps, and once', async () => {
    const { host, worker, words } = rings()
    host.submit(0, submission())
    host.publish()
    expect(words[layout.WORKER_PARK_WORD]).toBe(layout.AWAKE)
    worker.claim()
    const sleep = worker.parkAsync()
    expect(words[layout.WORKER_PARK_WORD]).toBe(layout.PARKED)
    host.submit(1, submission())
    expect(words[layout.WORKER_PARK_WORD]).toBe(layout.PARKED)
    host.publish()
    expect(words[layout.WORKER_PARK_WORD]).toBe(layout.AWAKE)
    await sleep
    expect(worker.claim()).toBe(1)
  })

  it('lets a worker that is awake see what it publishes quietly, and leaves a sleeper to the next publish', async () => {
    const { host, worker } = rings()
    const sleep = worker.parkAsync()
    host.submit(0, submission())
    host.publishQuietly()
    expect(worker.hasSubmissions()).toBe(true)
    expect(await Promise.race([sleep, new Promise((resolve) => setImmediate(resolve, 'asleep'))])).toBe('asleep')
    host.publish()
    await sleep
  })

  it('does not fall asleep over a completion', async () => {
    const { host, worker } = rings()
    host.submit(0, submission())
    host.publish()
    worker.claim()
    const sleep = host.park()
    expect(sleep).not.toBeNull()
    worker.complete(0)
    await sleep
    expect(host.park()).toBeNull()
    host.takeCompletion()
    const again = host.park()
    expect(again).not.toBeNull()
    host.unpark()
    await again
  })

  it('keeps a worker from going on to the next plugin, unless it has gone on already', () => {
    const { host, worker } = rings()
    host.submit(0, submission({ mask: 0b111 }))
    host.publish()
    worker.claim()
    expect(host.doneMask(0)).toBe(0)
    expect(worker.goOn(0, 0, 0b1)).toBe(true)
    expect(host.stopAfter(0, 0)).toBe(false)
    expect(host.stopAfter(0, 0b1)).toBe(true)
    expect(worker.goOn(0, 0b1, 0b11)).toBe(false)
    worker.complete(0)
    host.takeCompletion()
    host.release(0)
    host.submit(0, submission({ mask: 0b111 }))
    host.publish()
    worker.claim()
    expect(worker.goOn(0, 0, 0b1)).toBe(true)
    expect(host.stop(0)).toBe(0b1)
    expect(worker.goOn(0, 0b1, 0b11)).toBe(false)
  })
})

describe('the worker', () => {
  it('does not fall asleep over work, mail or a cancellation', async () => {
    const { host, worker } = rings()
    host.submit(0, submission())
    host.publish()
    expect(worker.parkAsync()).toBeNull()
    worker.claim()
    host.announceControl()
    expect(worker.controlPending()).toBe(1)
    expect(worker.parkAsync()).toBeNull()
    worker.controlSeen()
    host.cancel(0)
    expect(worker.parkAsync()).toBeNull()
    expect(worker.takeCancellations()).toBe(true)
    expect(worker.takeCancellations()).toBe(false)
    expect(worker.isCancelled(0)).toBe(true)
    const sleep = worker.parkAsync()
    expect(sleep).not.toBeNull()
    worker.unpark()
    await sleep
  })

  it('that has no room for calls sleeps over them, and wakes for the rest', async () => {
    const { host, worker } = rings()
    host.submit(0, submission())
    host.publish()
    const sleep = worker.parkAsync({ forCalls: false })
    expect(sleep).not.toBeNull()
    host.announceControl()
    await sleep
  })

  it('looks again without sleeping', () => {
    const { host, worker } = rings()
    expect(worker.lookAgain(10)).toBe(false)
    host.announceControl()
    expect(worker.lookAgain(10)).toBe(true)
    worker.controlSeen()
    host.submit(0, submission())
    host.publish()
    expect(worker.lookAgain(10)).toBe(true)
  })

  it('refuses memory of another layout', () => {
    const { host, words } = rings()
    words[layout.LAYOUT_VERSION_WORD] = layout.LAYOUT_VERSION + 1
    expect(() => new WorkerRing(host.buffer)).toThrow(RangeError)
  })

  it('says what it runs and what it loads', () => {
    const { host, worker } = rings()
    worker.loading(3)
    expect(host.loadingPlugin()).toBe(3)
    worker.loading(-1)
    expect(host.loadingPlugin()).toBe(-1)
    worker.enter(2, 123.5, true)
    expect(host.runningSlot()).toBe(2)
    expect(host.slotDouble(2, layout.STARTED_AT_WORD)).toBe(123.5)
    worker.enter(2, 124, false)
    expect([host.slotDouble(2, layout.STARTED_AT_WORD), host.slotDouble(2, layout.MARK_AT_WORD)]).toEqual([123.5, 124])
    worker.leave()
    expect(host.runningSlot()).toBe(-1)
  })
})

/* Any order of steps against a model: every submitted slot comes back once, run or skipped, never both. */

type Step = 'submit' | 'publish' | 'claim' | 'complete' | 'recall' | 'take'
const steps = fc.array(fc.tuple(fc.constantFrom<Step>('submit', 'publish', 'claim', 'complete', 'recall', 'take'), fc.nat(SLOTS * 4)), { maxLength: 300 })

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
          while (published.length > 0 && recalled.has(published[0] as number)) completed.push(published.shift() as number)
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
