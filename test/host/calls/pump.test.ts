/** What the pump does with lanes that do not let the host sleep. The lanes are stand-ins: no ring, no thread. */
import { describe, expect, it } from 'vitest'
import { Pump } from '../../../dist/host/calls/pump.js'
import type { Lane } from '../../../dist/host/model/lane.js'

/** A lane with a call in flight. `park` says what becomes of the host's sleep; `drain` how much has come back. */
function laneOf({ park, drain }: { park: () => Promise<unknown> | null; drain: (most: number) => number }): Lane {
  return {
    state: 'serving',
    inFlight: 1,
    isDirty: false,
    unpublished: 0,
    hasRung: false,
    isWaking: false,
    listening: 'no',
    emptyWakes: 0,
    ring: { park, unpark() {}, isWorkerParked: () => false },
    publish() {},
    publishQuietly() {},
    drain,
  } as unknown as Lane
}

/** Asks again for each verdict; how many it had before the event loop's first turn. */
async function answersBeforeTurn({ isAsleep }: { isAsleep: boolean }): Promise<number> {
  const pump = new Pump({ wait: 'spin', spinUs: 50, listener: { busy() {}, room() {}, storm() {} } })
  let answers = 0
  let isThere = false
  const lane = laneOf({
    park: () => new Promise(() => {}),
    drain: () => {
      if (!isThere) return 0
      isThere = false
      answers += 1
      void Promise.resolve().then(() => pump.submitted(lane))
      return 1
    },
  })
  const ring = lane.ring as unknown as Record<string, unknown>
  lane.publish = () => isAsleep
  // What was not there when the turn's calls were published is there a moment later.
  ring.lookAgain = () => {
    isThere = true
    return true
  }
  pump.submitted(lane)
  await new Promise((resolve) => setImmediate(resolve))
  lane.inFlight = 0
  return answers
}

describe('a verdict that is a moment away', () => {
  it('is polled for in place, but not so often that the event loop misses its turn', async () => {
    const answers = await answersBeforeTurn({ isAsleep: false })
    expect(answers).toBeGreaterThan(1)
    expect(answers).toBeLessThan(100)
  })

  it('is not polled for in place while the worker must wake up', async () => {
    expect(await answersBeforeTurn({ isAsleep: true })).toBe(0)
  })
})

function pumpOf(storm: (lane: Lane) => void) {
  return new Pump({ wait: 'park', spinUs: 0, listener: { busy() {}, room() {}, storm } })
}

describe('a lane that never lets the host sleep', () => {
  it('and gives nothing back is given up', async () => {
    let parks = 0
    const lane = laneOf({
      park: () => {
        parks += 1
        return null
      },
      drain: () => 0,
    })
    const given = await new Promise<Lane>((resolve) => pumpOf(resolve).submitted(lane))
    expect(given).toBe(lane)
    // Once given up it is listened to no more.
    const before = parks
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(parks).toBe(before)
    expect(parks).toBeLessThan(1_000)
  })

  it('because something comes back each time is not given up', async () => {
    let parks = 0
    let isThere = false
    const lane = laneOf({
      park: () => {
        parks += 1
        isThere = true
        return null
      },
      drain: () => {
        const taken = isThere ? 1 : 0
        isThere = false
        return taken
      },
    })
    const storms: Lane[] = []
    pumpOf((each) => storms.push(each)).submitted(lane)
    while (parks < 1_000) await new Promise((resolve) => setImmediate(resolve))
    lane.inFlight = 0
    expect(storms).toEqual([])
  })
})

it('takes everything that has come back before deadlines are judged, however much it is', () => {
  let left = 1_000
  const lane: Lane = laneOf({
    park: () => null,
    drain: (most) => {
      const taken = Math.min(most, left)
      left -= taken
      inFlight -= taken
      return taken
    },
  })
  let inFlight = 1_000
  Object.defineProperty(lane, 'inFlight', { get: () => inFlight })
  pumpOf(() => {}).drainAll([lane])
  expect([left, lane.inFlight]).toEqual([0, 0])
})
