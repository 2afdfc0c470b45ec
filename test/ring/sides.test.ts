import { describe, expect, it } from 'vitest'
import { BROKEN, HostRing, NOTHING } from '../../dist/ring/host-ring.js'
import * as layout from '../../dist/ring/layout.js'
import { WorkerRing } from '../../dist/ring/worker-ring.js'
import { rings, SLOTS, submission } from '../support/rings.js'

describe('the host', () => {
  it('starts clean in memory that another ring’s worker left in any state', () => {
    const { host: before, worker: gone, words } = rings(0x7fff_fffe)
    for (const slot of [0, 1, 2]) before.submit(slot, submission({ eventBytes: 8 }))
    before.publish()
    gone.claim()
    const { arenaByte, buffer } = before
    words.fill(-1, 0, arenaByte / 4)

    const host = new HostRing({ slotCount: SLOTS, arenaBytes: buffer.byteLength - arenaByte }, buffer)
    expect(host.buffer).toBe(buffer)
    const worker = new WorkerRing(buffer)
    expect([host.runningSlot(), host.loadingPlugin(), host.takeCompletion()]).toEqual([-1, -1, NOTHING])
    expect(worker.hasSubmissions()).toBe(false)
    for (let round = 0; round < 2 * SLOTS; round += 1) {
      const slot = round % SLOTS
      host.submit(slot, submission())
      host.publish()
      expect(worker.claim()).toBe(slot)
      worker.complete(slot)
      expect(host.takeCompletion()).toBe(slot)
      expect(host.release(slot)).toBe(true)
    }
  })

  it.each([SLOTS, -1, 0x7fff_ffff, -0x8000_0000])('refuses a completion of slot %i, which does not exist', (slot) => {
    const { host, words, completeRingWord } = rings()
    words[completeRingWord] = slot
    Atomics.store(words, layout.COMPLETE_TAIL_WORD, 1)
    expect(host.takeCompletion()).toBe(BROKEN)
  })

  it.each([SLOTS + 1, -1, 0x7fff_ffff, -0x8000_0000])('refuses a completion tail of %i', (tail) => {
    const { host, words } = rings()
    Atomics.store(words, layout.COMPLETE_TAIL_WORD, tail)
    expect(host.takeCompletion()).toBe(BROKEN)
    expect(host.takeCompletion()).toBe(BROKEN)
  })

  it('treats a slot number out of range as none', () => {
    const { host, words } = rings()
    for (const [word, expected] of [
      [0, -1],
      [1, 0],
      [SLOTS, SLOTS - 1],
      [SLOTS + 1, -1],
      [-5, -1],
    ] as const) {
      words[layout.RUNNING_SLOT_WORD] = word
      expect(host.runningSlot()).toBe(expected)
    }
  })

  it('rings once, and only for a worker that has said that it sleeps', async () => {
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

  it('publishes quietly to a worker that is awake, and wakes a sleeper at the next publish', async () => {
    const { host, worker } = rings()
    const sleep = worker.parkAsync()
    host.submit(0, submission())
    host.publishQuietly()
    expect(worker.hasSubmissions()).toBe(true)
    expect(await Promise.race([sleep, new Promise((resolve) => setImmediate(resolve, 'asleep'))])).toBe('asleep')
    host.publish()
    await sleep
  })

  it('does not go to sleep while a completion waits', async () => {
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

  it('keeps a worker from entering the next plugin, unless it has already', () => {
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
  it('does not go to sleep while work, a control message or a cancellation waits', async () => {
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

  it('that has no room for calls sleeps while they wait, and wakes for everything else', async () => {
    const { host, worker } = rings()
    host.submit(0, submission())
    host.publish()
    const sleep = worker.parkAsync({ forCalls: false })
    expect(sleep).not.toBeNull()
    host.announceControl()
    await sleep
  })

  it('polls without sleeping', () => {
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

  it('announces what it runs and what it loads', () => {
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
