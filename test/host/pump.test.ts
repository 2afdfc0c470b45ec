/** What the pump does with lanes that will not let the host sleep. The lanes here are stand-ins: no ring, no thread. */
import { describe, expect, it } from 'vitest'
import type { Lane } from '../../dist/host/lane.js'
import { createPump } from '../../dist/host/pump.js'

/** A lane with a call in flight. `park` says what becomes of the host's sleep; `drain` how much has come back. */
function laneOf({ park, drain }: { park: () => Promise<unknown> | null; drain: () => number }): Lane {
  return {
    state: 'serving',
    inFlight: 1,
    isDirty: false,
    unpublished: 0,
    hasRung: false,
    listening: 'no',
    emptyWakes: 0,
    ring: { park, publish() {}, publishQuietly() {}, unpark() {} },
    drain,
  } as unknown as Lane
}

function pumpOf(onStorm: (lane: Lane) => void) {
  return createPump({ wait: 'park', spinUs: 0, onBusy() {}, onRoom() {}, onStorm })
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

  it('because something has come back each time is as good as any', async () => {
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
