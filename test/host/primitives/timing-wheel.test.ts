import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DeadlineTimer, type TimerHandle } from '../../../dist/host/primitives/deadline-timer.js'
import { type Deadline, type DeadlineHandler, TimingWheel } from '../../../dist/host/primitives/timing-wheel.js'

interface Entry extends Deadline {
  readonly id: number
}

/** A wheel, and what to do with what is due. */
function createWheel({
  expire,
  ...shape
}: {
  tickMs?: number
  buckets?: number
  startMs?: number
  expire: DeadlineHandler<Entry>
}) {
  const wheel = new TimingWheel<Entry>(shape)
  return Object.assign(wheel, {
    advance: (nowMs: number, most = Number.POSITIVE_INFINITY) => wheel.poll(nowMs, expire, most),
    expire,
  })
}

const entry = (id: number, dueMs: number): Entry => ({ id, dueMs, wheelPrev: null, wheelNext: null })

/** Small wheels turn often; starts stand where 32-bit and 53-bit arithmetic would show. */
const wheelShape = fc.record({
  tickMs: fc.constantFrom(0.5, 1, 4),
  buckets: fc.constantFrom(32, 64, 2048),
  startMs: fc.constantFrom(0, 0.25, 1234.5, 2 ** 31 - 20, 2 ** 32 - 3.5, 1_790_000_000_000.125),
})

const delay = fc.oneof(
  fc.double({ min: 0, max: 40, noNaN: true }),
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 20_000 }),
)

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('add' as const), id: fc.nat(30), inMs: delay }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('cancel' as const), id: fc.nat(30) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), byMs: delay }) },
)

describe('the deadline wheel', () => {
  it('expires exactly what a list of due times would, in due order as far as its ticks resolve', () => {
    fc.assert(
      fc.property(wheelShape, fc.array(step, { maxLength: 120 }), (shape, steps) => {
        let nowMs = shape.startMs
        const expired: Entry[] = []
        const wheel = createWheel({ ...shape, expire: (one) => expired.push(one) })
        const entries = new Map<number, Entry>()
        const model = new Map<number, number>()
        for (const one of steps) {
          if (one.op === 'add') {
            const added = entries.get(one.id) ?? entry(one.id, 0)
            entries.set(one.id, added)
            // An entry in the wheel must not change; taken out first, it may.
            wheel.cancel(added)
            added.dueMs = nowMs + one.inMs
            wheel.add(added, nowMs)
            model.set(one.id, added.dueMs)
          } else if (one.op === 'cancel') {
            const known = entries.get(one.id)
            if (known !== undefined) wheel.cancel(known)
            model.delete(one.id)
          } else {
            nowMs += one.byMs
            const due = [...model].filter(([, dueMs]) => dueMs <= nowMs).map(([id]) => id)
            expired.length = 0
            expect(wheel.advance(nowMs)).toBe(due.length)
            expect(expired.map(({ id }) => id).sort(byNumber)).toEqual(due.sort(byNumber))
            const ticks = expired.map(({ dueMs }) => Math.floor(dueMs / shape.tickMs))
            expect(ticks).toEqual([...ticks].sort(byNumber))
            for (const id of due) model.delete(id)
          }
          expect(wheel.size).toBe(model.size)
          const nextMs = wheel.nextDueMs()
          if (model.size === 0) expect(nextMs).toBeNull()
          else expect(nextMs).toBeLessThanOrEqual(Math.min(...model.values()))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('is emptied by polling at each next due time, without a poll that finds nothing', () => {
    fc.assert(
      fc.property(wheelShape, fc.array(delay, { maxLength: 60 }), fc.array(fc.nat(59)), (shape, delays, cancelled) => {
        let expired = 0
        const wheel = createWheel({
          ...shape,
          expire(one, nowMs) {
            expect(nowMs).toBeGreaterThanOrEqual(one.dueMs)
            expired++
          },
        })
        const entries = delays.map((inMs, id) => entry(id, shape.startMs + inMs))
        for (const one of entries) wheel.add(one, shape.startMs)
        const gone = new Set(cancelled.filter((id) => id < entries.length))
        for (const id of gone) wheel.cancel(entries[id]!)
        let rounds = 0
        for (let nextMs = wheel.nextDueMs(); nextMs !== null; nextMs = wheel.nextDueMs()) {
          wheel.advance(nextMs)
          rounds++
        }
        expect(expired).toBe(entries.length - gone.size)
        // A cancelled entry may cost one look.
        expect(rounds).toBeLessThanOrEqual(entries.length)
      }),
    )
  })

  it('can be added to and cancelled from while it expires, and ends', () => {
    const script = fc.array(fc.record({ add: fc.boolean(), id: fc.nat(20), inMs: fc.integer({ min: -5, max: 200 }) }))
    fc.assert(
      fc.property(wheelShape, script, fc.integer({ min: 1, max: 5000 }), (shape, script, byMs) => {
        const entries = Array.from({ length: 21 }, (_, id) => entry(id, shape.startMs + id * 7))
        const pending = new Set(entries.map(({ id }) => id))
        const remaining = [...script]
        const added = new Set<number>()
        const wheel = createWheel({
          ...shape,
          expire(one, nowMs) {
            expect(pending.delete(one.id)).toBe(true)
            expect(added.has(one.id)).toBe(false)
            const next = remaining.pop()
            if (next === undefined) return
            const other = entries[next.id]!
            wheel.cancel(other)
            pending.delete(other.id)
            if (!next.add) return
            other.dueMs = nowMs + next.inMs
            wheel.add(other, nowMs)
            pending.add(other.id)
            added.add(other.id)
          },
        })
        for (const one of entries) wheel.add(one, shape.startMs)
        const nowMs = shape.startMs + byMs
        wheel.advance(nowMs)
        expect(wheel.size).toBe(pending.size)
        for (const id of pending) {
          if (!added.has(id)) expect(entries[id]!.dueMs).toBeGreaterThan(nowMs)
        }
        added.clear()
        remaining.length = 0
        wheel.advance(Number.MAX_SAFE_INTEGER)
        expect(wheel.size).toBe(0)
        expect(pending.size).toBe(0)
      }),
    )
  })

  it('leaves an entry that was added while expiring, though due, for the next poll', () => {
    let turns = 0
    const wheel = createWheel({
      expire(one, nowMs) {
        turns++
        wheel.add(one, nowMs)
      },
    })
    wheel.add(entry(1, 5), 0)
    expect(wheel.advance(10)).toBe(1)
    expect(wheel.nextDueMs()).toBe(5)
    expect(wheel.advance(10)).toBe(1)
    expect(turns).toBe(2)
  })

  it('is not polled by what it expires', () => {
    const order: string[] = []
    const wheel = createWheel({
      expire(one, nowMs) {
        order.push(`in ${one.id}`)
        expect(wheel.advance(nowMs + 100)).toBe(0)
        order.push(`out ${one.id}`)
      },
    })
    for (const id of [1, 2]) wheel.add(entry(id, id), 0)
    expect(wheel.advance(5)).toBe(2)
    expect(order).toEqual(['in 1', 'out 1', 'in 2', 'out 2'])
  })

  it('expires in due order after a pause of many turns', () => {
    const order: number[] = []
    const wheel = createWheel({ buckets: 32, expire: (one) => order.push(one.dueMs) })
    for (const dueMs of [900, 33, 64, 1, 500, 65, 32]) wheel.add(entry(0, dueMs), 0)
    wheel.advance(1e12)
    expect(order).toEqual([1, 32, 33, 64, 65, 500, 900])
  })

  it('keeps what is left when expire throws, and expires it first the next time', () => {
    const order: number[] = []
    const wheel = createWheel({
      expire(one) {
        order.push(one.id)
        if (one.id === 2) throw new Error('no')
      },
    })
    for (const id of [1, 2, 3]) wheel.add(entry(id, id), 0)
    expect(() => wheel.advance(10)).toThrow('no')
    expect(wheel.size).toBe(1)
    expect(wheel.nextDueMs()).toBe(3)
    wheel.add(entry(4, 3), 10)
    wheel.advance(10)
    expect(order).toEqual([1, 2, 3, 4])
  })

  it('moves an entry that is added again, and forgets one that is cancelled twice', () => {
    const expired: number[] = []
    const wheel = createWheel({ expire: (one) => expired.push(one.id) })
    const moved = entry(1, 10)
    wheel.add(moved, 0)
    moved.dueMs = 50
    wheel.add(moved, 0)
    expect(wheel.size).toBe(1)
    expect(wheel.advance(49)).toBe(0)
    const gone = entry(2, 20)
    wheel.add(gone, 0)
    wheel.cancel(gone)
    wheel.cancel(gone)
    wheel.cancel(entry(3, 1))
    expect(wheel.size).toBe(1)
    wheel.advance(50)
    expect(expired).toEqual([1])
  })

  it('expires no more at a time than it is asked to, and the rest in the next polls, in due order', () => {
    const order: number[] = []
    const wheel = createWheel({ expire: (one) => order.push(one.id) })
    for (const id of [5, 3, 1, 4, 2]) wheel.add(entry(id, id), 0)
    expect(wheel.advance(10, 2)).toBe(2)
    expect(wheel.nextDueMs()).toBe(3)
    expect(wheel.size).toBe(3)
    wheel.add(entry(6, 6), 10)
    expect(wheel.advance(10, 3)).toBe(3)
    expect(wheel.advance(10, 3)).toBe(1)
    expect(order).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('refuses a deadline that is not a number, and invalid sizes', () => {
    const wheel = createWheel({ expire() {} })
    expect(() => wheel.add(entry(1, Number.NaN), 0)).toThrow(RangeError)
    wheel.add(entry(2, Number.POSITIVE_INFINITY), 0)
    expect(wheel.advance(Number.MAX_SAFE_INTEGER)).toBe(0)
    expect(() => createWheel({ buckets: 100, expire() {} })).toThrow(RangeError)
    expect(() => createWheel({ tickMs: 0, expire() {} })).toThrow(RangeError)
  })
})

/** A clock and setTimeout that a test moves by hand; `skewMs` makes timers fire early or late. */
function createClock(skewMs = 0) {
  const armed = new Set<FakeTimer>()
  const clock = {
    nowMs: 0,
    arms: 0,
    armed,
    setTimer(fire: () => void, delayMs: number): TimerHandle {
      expect(Number.isInteger(delayMs)).toBe(true)
      expect(delayMs).toBeGreaterThanOrEqual(1)
      clock.arms++
      const timer: FakeTimer = {
        atMs: clock.nowMs + delayMs + skewMs,
        isHolding: true,
        fire,
        ref: () => {
          timer.isHolding = true
        },
        unref: () => {
          timer.isHolding = false
        },
      }
      armed.add(timer)
      expect(armed.size).toBe(1)
      return timer
    },
    clearTimer(handle: TimerHandle) {
      armed.delete(handle as FakeTimer)
    },
    runTo(endMs: number) {
      for (;;) {
        const next = [...armed].find((timer) => timer.atMs <= endMs)
        if (next === undefined) break
        clock.nowMs = Math.max(clock.nowMs, next.atMs)
        armed.delete(next)
        next.fire()
      }
      clock.nowMs = endMs
    },
  }
  return clock
}

interface FakeTimer extends TimerHandle {
  atMs: number
  isHolding: boolean
  fire(): void
}

function createTimed(skewMs = 0) {
  const clock = createClock(skewMs)
  const expired: [id: number, nowMs: number][] = []
  const wheel = createWheel({ expire: (one, nowMs) => expired.push([one.id, nowMs]) })
  const timer = new DeadlineTimer({ ...clock, wheel, expire: wheel.expire, now: () => clock.nowMs })
  return { clock, expired, wheel, timer }
}

describe('the deadline timer', () => {
  it('is armed once, for the earliest entry, and again only for an earlier one', () => {
    const { clock, timer } = createTimed()
    expect(timer.armedForMs).toBeNull()
    timer.add(entry(1, 50), 0)
    timer.add(entry(2, 60), 0)
    timer.add(entry(3, 50), 0)
    expect(clock.arms).toBe(1)
    timer.add(entry(4, 20), 0)
    expect(clock.arms).toBe(2)
    expect(timer.armedForMs).toBe(20)
    expect(clock.armed.size).toBe(1)
  })

  it('never expires early and always in the end, with timers that fire early or late', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -0.99, max: 3, noNaN: true }),
        fc.array(delay, { maxLength: 40 }),
        (skewMs, delays) => {
          const { clock, expired, timer, wheel } = createTimed(skewMs)
          const dues = delays.map((inMs, id) => {
            timer.add(entry(id, clock.nowMs + inMs), clock.nowMs)
            const dueMs = clock.nowMs + inMs
            clock.runTo(clock.nowMs + (id % 3) * 1.5)
            return dueMs
          })
          clock.runTo(clock.nowMs + 100_000)
          expect(expired.length).toBe(dues.length)
          for (const [id, nowMs] of expired) {
            expect(nowMs).toBeGreaterThanOrEqual(dues[id]!)
            expect(nowMs).toBeLessThanOrEqual(dues[id]! + 1 + Math.max(skewMs, 0) * 2 + 1)
          }
          expect(wheel.size).toBe(0)
          expect(clock.armed.size).toBe(0)
          expect(timer.armedForMs).toBeNull()
        },
      ),
    )
  })

  it('holds the process only while there are entries, and is not armed again for none', () => {
    const { clock, timer } = createTimed()
    const only = entry(1, 50)
    timer.add(only, 0)
    const [handle] = clock.armed
    expect(handle!.isHolding).toBe(true)
    timer.cancel(only)
    expect(handle!.isHolding).toBe(false)
    timer.add(only, 10)
    expect(handle!.isHolding).toBe(true)
    expect(clock.arms).toBe(1)
    timer.cancel(only)
    clock.runTo(1_000)
    expect(clock.arms).toBe(1)
    expect(clock.armed.size).toBe(0)
  })

  it('fires once for a deadline between two milliseconds', () => {
    const { clock, expired, timer } = createTimed()
    timer.add(entry(1, 10.5), 0)
    clock.runTo(100)
    expect(expired).toEqual([[1, 11]])
    expect(clock.arms).toBe(1)
  })

  it('lets what has come in be taken before it expires the rest', () => {
    const clock = createClock()
    const expired: number[] = []
    const wheel = createWheel({ expire: (one) => expired.push(one.id) })
    const saved = entry(1, 10)
    let drains = 0
    const timer = new DeadlineTimer<Entry>({
      ...clock,
      wheel,
      expire: wheel.expire,
      now: () => clock.nowMs,
      beforeExpire() {
        drains++
        timer.cancel(saved)
      },
    })
    timer.add(saved, 0)
    timer.add(entry(2, 10), 0)
    clock.runTo(100)
    expect(expired).toEqual([2])
    expect(drains).toBe(1)
  })

  it('goes on after an expire that threw', () => {
    const clock = createClock()
    const expired: number[] = []
    const wheel = createWheel({
      expire(one) {
        expired.push(one.id)
        if (one.id === 1) throw new Error('no')
      },
    })
    const timer = new DeadlineTimer({ ...clock, wheel, expire: wheel.expire, now: () => clock.nowMs })
    timer.add(entry(1, 10), 0)
    timer.add(entry(2, 10), 0)
    timer.add(entry(3, 30), 0)
    expect(() => clock.runTo(100)).toThrow('no')
    clock.runTo(100)
    expect(expired).toEqual([1, 2, 3])
  })

  it('is disarmed for good by close', () => {
    const { clock, expired, timer } = createTimed()
    timer.add(entry(1, 10), 0)
    timer.close()
    timer.add(entry(2, 5), 0)
    clock.runTo(100)
    expect(expired).toEqual([])
    expect(clock.armed.size).toBe(0)
  })

  it('waits in parts for a deadline that setTimeout cannot hold', () => {
    const { clock, expired, timer } = createTimed()
    timer.add(entry(1, 2 ** 32), 0)
    clock.runTo(2 ** 32 - 1)
    expect(expired).toEqual([])
    clock.runTo(2 ** 32)
    expect(expired).toEqual([[1, 2 ** 32]])
  })

  it('keeps to the real clock with real timers', async () => {
    const lateMs: number[] = []
    const wheel = createWheel({ expire: (one, nowMs) => lateMs.push(nowMs - one.dueMs) })
    const now = () => performance.now()
    const timer = new DeadlineTimer({ wheel, expire: wheel.expire, now })
    for (let id = 0; id < 200; id++) timer.add(entry(id, now() + ((id * 37) % 90)), now())
    await expect.poll(() => lateMs.length, { timeout: 5_000 }).toBe(200)
    expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0)
    expect(wheel.size).toBe(0)
    expect(timer.armedForMs).toBeNull()
  })
})

function byNumber(a: number, b: number): number {
  return a - b
}
