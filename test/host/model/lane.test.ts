/** What a lane does with calls that are published, and with those that are not. The worker is in this thread, and never parks. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { codecMemory } from '../../../dist/contracts/codec/memory.js'
import { Completion } from '../../../dist/host/calls/completion.js'
import { Expiry } from '../../../dist/host/calls/expiry.js'
import type { Bulkhead } from '../../../dist/host/model/bulkhead.js'
import { Call } from '../../../dist/host/model/call.js'
import type { HookpointState } from '../../../dist/host/model/hookpoint-state.js'
import { Lane } from '../../../dist/host/model/lane.js'
import { createLaneMemory, OWN_EXTENT_BYTES } from '../../../dist/host/model/lane-bytes.js'
import type { Route } from '../../../dist/host/model/route.js'
import { monotonicMs } from '../../../dist/ring/clock.js'
import * as layout from '../../../dist/ring/layout.js'
import { NOTHING, WorkerRing } from '../../../dist/ring/worker-ring.js'
import { codecOf } from '../../support/codec-round.js'

const SLOTS = 8
const LARGEST_BYTES = 4096
const TIMEOUT_MS = 50
const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

/** Calls that are made, published in one way or the other, seen by the worker, and given back. */
const actions = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('ask' as const), length: fc.integer({ min: 0, max: 100 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('ask' as const), length: fc.integer({ min: 100, max: 2000 }) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('publish' as const), isQuiet: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('complete' as const), nth: fc.nat(SLOTS) }) },
  ),
  { maxLength: 80 },
)

function openLane(bulkhead: Partial<Bulkhead> = {}) {
  const { encoder, reader } = codecOf(z.object({ text: z.string() }))
  const hookpoint = { index: 0, kind: 'gate', name: 'onTest', encoder, expectedBytes: 40, replyAreas: 0 }
  const route = { steps: [{ mask: 1, firstMs: TIMEOUT_MS, shortestMs: TIMEOUT_MS }] }
  const memory = createLaneMemory(SLOTS, LARGEST_BYTES)
  const violations: string[] = []
  const unasked = () => {
    throw new Error('no call of these goes on')
  }
  const completion = new Completion({
    hops: { proceed: unasked, decide: unasked, fail: unasked },
    violated: (_lane, kind) => violations.push(kind),
    lostMsSince: () => 0,
  })
  let earliestMs = Number.NaN
  const lane = new Lane({
    id: 'test:0',
    bulkhead: { plugins: [], ...bulkhead } as never,
    seat: {} as never,
    maxEventBytes: LARGEST_BYTES,
    listener: {
      begun(_, dueMs) {
        earliestMs = dueMs
      },
      completed(...completed) {
        if (completed[2].tripMs < 0) completion.take(...completed)
      },
      late() {},
      violated(_, kind) {
        throw new Error(kind)
      },
    },
    memory,
  })
  const worker = new WorkerRing(memory.buffer)
  const shared = new Uint8Array(memory.buffer)

  return {
    lane,
    worker,
    violations,
    /** When the first of the calls that were published last is late. */
    earliestMs: () => earliestMs,
    /** False: no room at present. */
    ask(text: string): boolean {
      const call = new Call(hookpoint as unknown as HookpointState, route as unknown as Route)
      call.step = 0
      call.left = 1
      return lane.submitEvent(call, { text })
    },
    /** The text that a slot's event has for the worker. */
    textOf(slot: number): unknown {
      const at = worker.word(slot, layout.EXTENT_AT_WORD)
      const bytes = worker.word(slot, layout.EVENT_BYTES_WORD)
      return reader.decode(codecMemory(shared.slice(at, at + bytes).buffer), 0, bytes)
    },
    /** What is the worker's to write to behind the event, in a slot's own extent. */
    behind(slot: number): Uint8Array {
      const at = worker.word(slot, layout.EXTENT_AT_WORD)
      const replies = layout.repliesAt(at, worker.word(slot, layout.EVENT_BYTES_WORD), 0)
      return shared.subarray(replies, Math.max(replies, at + OWN_EXTENT_BYTES))
    },
  }
}

describe('a lane', () => {
  it('has each event and its deadline in place when it is published, and leaves alone what the worker writes from then on', () => {
    fc.assert(
      fc.property(actions, (list) => {
        const { lane, worker, ask, textOf, behind, earliestMs } = openLane()
        const submitted: string[] = []
        const claimed: { slot: number; mark: number }[] = []
        let number = 0
        for (const action of list) {
          switch (action.kind) {
            case 'ask': {
              number += 1
              const text = String(number).padEnd(action.length, 'x')
              if (ask(text)) submitted.push(text)
              break
            }
            case 'publish': {
              const beforeMs = monotonicMs()
              if (action.isQuiet) lane.publishQuietly()
              else lane.publish()
              const afterMs = monotonicMs()
              for (let slot = worker.claim(); slot !== NOTHING; slot = worker.claim()) {
                expect(worker.deadlineMs(slot)).toBe(earliestMs())
                expect(earliestMs()).toBeGreaterThanOrEqual(beforeMs + TIMEOUT_MS)
                expect(earliestMs()).toBeLessThanOrEqual(afterMs + TIMEOUT_MS)
                expect(textOf(slot)).toEqual({ text: submitted.shift() })
                const mark = (number % 250) + 1
                behind(slot).fill(mark)
                claimed.push({ slot, mark })
              }
              expect(submitted).toEqual([])
              break
            }
            case 'complete': {
              const [done] = claimed.splice(action.nth % Math.max(claimed.length, 1), 1)
              if (done === undefined) break
              expect(behind(done.slot).every((byte) => byte === done.mark)).toBe(true)
              worker.setContinue(done.slot)
              worker.complete(done.slot)
              expect(lane.drain(SLOTS)).toBe(1)
            }
          }
        }
      }),
      { seed: SEED, numRuns: 500 },
    )
  })
  it('takes no verdict from a worker that gives back what was not published', () => {
    const { lane, worker, violations, ask } = openLane()
    ask('published')
    lane.publish()
    const published = worker.claim()
    ask('not published')
    const [unpublished] = [...lane.calls()].filter(({ slot }) => slot !== published)
    for (const slot of [published, unpublished?.slot as number]) {
      worker.setContinue(slot)
      worker.complete(slot)
    }
    expect(lane.drain(SLOTS)).toBe(2)
    expect(violations).toEqual(['state'])
  })

  it('gives back what its worker has not begun, and none of it is older than what the worker begins meanwhile', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: SLOTS }), fc.infiniteStream(fc.nat(2)), (count, steps) => {
        const back: Call[] = []
        const elsewhere = {
          partition: null,
          hasOther: () => true,
          requeue: (calls: readonly Call[]) => void back.push(...calls),
          feed() {},
        }
        const { lane, worker, ask, textOf } = openLane(elsewhere)
        for (let number = 1; number <= count; number += 1) ask(String(number))
        lane.publish()
        const begun: number[] = []
        // What a thread of its own does between two steps of the host.
        const recall = lane.recall.bind(lane)
        lane.recall = (call) => {
          const isBack = recall(call)
          for (let step = steps.next().value; step > 0; step -= 1) {
            const slot = worker.claim()
            if (slot !== NOTHING) begun.push(Number((textOf(slot) as { text: string }).text))
          }
          return isBack
        }
        const unasked = null as never
        const expiry = new Expiry({
          hops: unasked,
          completion: unasked,
          deadlines: { watch() {} },
          emit: unasked,
          lostMsSince: () => 0,
        })
        expiry.moveUnclaimed(lane)
        const given = back.map((call) => call.ticket + 1)
        expect([...begun, ...given]).toEqual(Array.from({ length: count }, (_, index) => index + 1))
      }),
      { seed: SEED },
    )
  })
})
