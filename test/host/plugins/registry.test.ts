/** Changing the plugins: what is kept, started, exchanged and stopped. Threads are stand-ins, everything else is real. */
import { gate, observe } from 'hookring/contracts'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import { defineContract } from '../../../dist/contracts/contract.js'
import { pluginOptionsSchema } from '../../../dist/contracts/option-schemas.js'
import { Supervisor } from '../../../dist/host/lanes/supervisor.js'
import type { Bulkhead } from '../../../dist/host/model/bulkhead.js'
import { createHookpointStates } from '../../../dist/host/model/hookpoint-state.js'
import { type Registration, resolvePolicies } from '../../../dist/host/model/plugin.js'
import type { Snapshot } from '../../../dist/host/model/route.js'
import { Registry } from '../../../dist/host/plugins/registry.js'
import { CircuitBreaker } from '../../../dist/host/primitives/circuit-breaker.js'
import { Metrics } from '../../../dist/host/telemetry/metrics.js'
import { type Conduct, ThreadStandIns } from '../../support/thread-stand-ins.js'

const contract = defineContract('test', 1, {
  onTest: gate(z.object({ topic: z.string() })),
  onOther: observe(z.object({ topic: z.string() })),
})
const LANE = {
  wait: 'park',
  spinUs: 0,
  shutdownTimeoutMs: 60_000,
  setupTimeoutMs: 60_000,
  maxServiceBytes: 1_000,
} as const
const REFUSAL = { ok: false, code: 'PLUGIN_SETUP_FAILED', message: 'no', plugin: 'a' } as const

function open() {
  const metrics = new Metrics({ prefix: 'hookring_', contract })
  const hookpoints = createHookpointStates(contract, metrics, 256)
  const threads = new ThreadStandIns()
  const unasked = null as never
  const supervisor = new Supervisor({
    ...{ threads, hookpoints, maxEventBytes: 256, terminateGraceMs: 1_000, ...LANE },
    ...{ expiry: unasked, listener: unasked },
    pump: { forget() {} },
    watchdog: { forget() {} },
    emit() {},
    onLog() {},
    servicesFor: () => unasked,
    onCrashBlamed() {},
    onZombie() {},
  })
  const released: string[] = []
  const made: Bulkhead[] = []
  const limits = { memoryMb: 64, concurrency: 1, queue: 8, slots: 4 }
  const registry = new Registry({
    ...{ contract, hookpoints, metrics, supervisor },
    emit() {},
    defaults: { hangMs: 100, env: {}, execArgv: [], workers: 1, limits },
    lane: LANE,
    releaseSources: (urls) => void released.push(...urls),
    onBulkhead: (bulkhead) => void made.push(bulkhead),
  })
  const [onTest, onOther] = hookpoints as [(typeof hookpoints)[0], (typeof hookpoints)[0]]
  const namesAt = ({ route }: typeof onTest) =>
    route?.steps.flatMap(({ plugins }) => plugins.map(({ registration }) => registration)) ?? null
  return {
    ...{ registry, threads, released, made, metrics, onTest, onOther },
    change: (...wanted: Registration[]) => registry.change(() => wanted),
    /** The threads to be taken next do as they are told. */
    coming: (...conducts: Conduct[]) => void threads.coming.push(...conducts),
    /** The registrations that calls of each hookpoint pass now. */
    routed: () => ({ onTest: namesAt(onTest), onOther: namesAt(onOther) }),
    bulkheadOf: (name: string) => registry.find(name)?.bulkhead,
    /** A call that begins now; ended by what is given back. */
    begin() {
      const { calls } = (onTest.route as { snapshot: Snapshot }).snapshot
      calls.enter()
      return () => calls.leave()
    },
    /** Whether operators are shown anything of the plugin. */
    isMetered: async (name: string) => (await metrics.registry.metrics()).includes(`plugin="${name}"`),
  }
}

let count = 0

/** A plugin with a bulkhead of its own. */
function plugin(name: string, options: object = {}, order = count++): Registration {
  const resolved = pluginOptionsSchema.parse({ from: `./${name}.js`, name, bulkhead: `of-${name}`, ...options })
  return {
    ...{ name, options: resolved, runtime: 'module', boundary: 'thread', order, ownBulkhead: `${name}-${order}` },
    ...{ url: `file:///${name}.js`, timeoutMs: 100, policies: resolvePolicies(undefined) },
    breaker: new CircuitBreaker({ windowMs: 1_000, minFailures: 1, ratio: 0.01, cooldownMs: 1e9 }),
  } as Registration
}

/** The same plugin from a later version of its file. */
function reloaded(of: Registration, options: object = {}): Registration {
  const url = `${of.url}?later`
  return { ...plugin(of.name, { ...of.options, ...options }, of.order), url }
}

/** Everything goes on as far as it does by itself: none of this waits for timers. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

describe('a change', () => {
  it('starts bulkheads and has calls pass their plugins in the order of the chain', async () => {
    const { change, registry, threads, routed, made } = open()
    const [a, b, c] = [plugin('a'), plugin('b', { priority: 1 }), plugin('c', { bulkhead: 'of-a' })]
    await change(a, b, c)
    expect(routed()).toEqual({ onTest: [b, a, c], onOther: [b, a, c] })
    expect(registry.registrations).toEqual([a, b, c])
    expect(made.map(({ name }) => name)).toEqual(['of-b', 'of-a'])
    expect(registry.bulkheads).toEqual(made)
    expect(threads.taken.map(({ spec }) => spec?.plugins.map(({ name }) => name))).toEqual([['b'], ['a', 'c']])
  })

  it('keeps the bulkheads that are the same, and starts the others beside the old ones', async () => {
    const { change, threads, routed, bulkheadOf, coming } = open()
    const [a, b] = [plugin('a'), plugin('b')]
    await change(a, b)
    const [ofA, ofB] = [bulkheadOf('a'), bulkheadOf('b')]
    coming({ load: 'asked' })
    const later = reloaded(b)
    const changing = change(a, later)
    await settle()
    // Calls go on meanwhile.
    expect(threads.taken).toHaveLength(3)
    expect(threads.at(1).asked).toEqual(['load'])
    expect(routed().onTest).toEqual([a, b])
    threads.at(2).succeed()
    await changing
    await settle()
    expect(routed().onTest).toEqual([a, later])
    expect(bulkheadOf('a')).toBe(ofA)
    expect(bulkheadOf('b')).not.toBe(ofB)
    expect(threads.taken.map(({ hasExited }) => hasExited)).toEqual([false, true, false])
    expect(threads.at(2).spec?.plugins).toMatchObject([{ name: 'b' }])
  })

  it('of what a bulkhead is made of starts it again', async () => {
    const { change, threads } = open()
    const a = plugin('a')
    await change(a)
    await change(a, plugin('c', { bulkhead: 'of-a' }))
    await settle()
    expect(threads.taken.map(({ hasExited }) => hasExited)).toEqual([true, false])
  })

  it('exchanges the routes of all hookpoints at once, when the last bulkhead has started', async () => {
    const { change, threads, routed, coming, onTest, onOther } = open()
    const [a, b] = [plugin('a'), plugin('b')]
    await change(a, b)
    coming({ load: 'asked' }, { load: 'asked' })
    const [laterA, laterB] = [reloaded(a), reloaded(b)]
    const changing = change(laterA, laterB)
    await settle()
    threads.at(2).succeed()
    await settle()
    expect(routed()).toEqual({ onTest: [a, b], onOther: [a, b] })
    threads.at(3).succeed()
    await changing
    expect(routed()).toEqual({ onTest: [laterA, laterB], onOther: [laterA, laterB] })
    expect(onTest.route?.snapshot).toBe(onOther.route?.snapshot)
  })

  it('that takes the last plugin of a hookpoint away leaves it without a route', async () => {
    const { change, routed, isMetered } = open()
    const [a, b] = [plugin('a', { config: { hooks: ['onTest'] } }), plugin('b', { config: { hooks: ['onOther'] } })]
    await change(a, b)
    expect(await isMetered('b')).toBe(true)
    await change(a)
    expect(routed()).toEqual({ onTest: [a], onOther: null })
    expect(await isMetered('b')).toBe(false)
    expect(await isMetered('a')).toBe(true)
  })

  it('keeps a plugin held that an operator holds', async () => {
    const { change, onTest, registry } = open()
    const a = plugin('a')
    await change(a)
    a.breaker.hold(0)
    registry.refreshGuards()
    expect(onTest.route?.steps[0]?.isGuarded).toBe(true)
    const later = reloaded(a)
    await change(later)
    expect(later.breaker.state).toBe('held')
    expect(onTest.route?.steps[0]?.isGuarded).toBe(true)
    later.breaker.release(0)
    registry.refreshGuards()
    expect(onTest.route?.steps[0]?.isGuarded).toBe(false)
  })
})

describe('a change that fails', () => {
  const crowd = () => Array.from({ length: 40 }, (_, index) => plugin(`crowd${index}`, { bulkhead: 'crowd' }))
  it.each<[string, string, () => Registration[], Conduct[], number]>([
    ['a bulkhead does not start', 'PLUGIN_SETUP_FAILED', () => [plugin('x'), plugin('y')], [{}, { load: REFUSAL }], 2],
    ['a name is taken', 'PLUGIN_NAME_TAKEN', () => [plugin('x'), plugin('x', { bulkhead: 'of-y' })], [], 2],
    ['a match does not fit', 'OPTIONS_INVALID', () => [plugin('x'), plugin('y', { match: { nothing: 1 } })], [], 2],
    ['a bulkhead is full', 'BULKHEAD_FULL', crowd, [], 0],
  ])('because %s leaves everything as it was, and nothing of what it started', async (...given) => {
    const [, code, wanted, conducts, startedThreads] = given
    const { change, registry, threads, released, coming, onTest, onOther, isMetered } = open()
    const [a, b] = [plugin('a'), plugin('b')]
    await change(a, b)
    const routes = [onTest.route, onOther.route]
    const { bulkheads } = registry
    coming(...conducts)
    const fresh = wanted()
    await expect(change(a, ...fresh)).rejects.toMatchObject({ code })
    await settle()
    expect([onTest.route, onOther.route]).toEqual(routes)
    expect(onTest.route).toBe(routes[0])
    expect(registry.registrations).toEqual([a, b])
    expect(registry.bulkheads).toEqual(bulkheads)
    expect(threads.taken).toHaveLength(2 + startedThreads)
    expect(threads.taken.map(({ hasExited }) => hasExited)).toEqual(threads.taken.map((_, index) => index >= 2))
    expect(released).toEqual(fresh.map(({ url }) => url))
    for (const { name } of fresh) expect([name, await isMetered(name)]).toEqual([name, false])
    expect(await isMetered('b')).toBe(true)
  })

  it('waits for bulkheads that are still starting, to stop them too', async () => {
    const { change, threads, coming } = open()
    coming({ load: REFUSAL }, { load: 'asked' })
    const changing = change(plugin('x'), plugin('y'))
    const refused = expect(changing).rejects.toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
    await settle()
    threads.at(1).succeed()
    await refused
    expect(threads.at(1).asked).toEqual(['load', 'stop', 'terminate'])
    expect(threads.left).toBe(0)
  })
})

describe('what a change replaces', () => {
  it('is stopped when its last call has settled, and not before', async () => {
    const { change, registry, threads, released, begin, bulkheadOf } = open()
    const a = plugin('a')
    await change(a)
    const old = bulkheadOf('a')
    const [endFirst, endSecond] = [begin(), begin()]
    await change(reloaded(a))
    endFirst()
    await settle()
    expect(threads.at(0).asked).toEqual(['load'])
    expect(registry.bulkheads).toContain(old)
    expect(registry.unsettled).toBe(1)
    expect(released).toEqual([])
    endSecond()
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'stop, succeeded', 'terminate'])
    expect(registry.bulkheads).not.toContain(old)
    expect(registry.unsettled).toBe(0)
    expect(released).toEqual([a.url])
  })

  it('has its sources released when it has stopped', async () => {
    const { change, threads, released, coming } = open()
    coming({ stop: 'asked' })
    const a = plugin('a')
    await change(a)
    await change()
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'stop'])
    expect(released).toEqual([])
    threads.at(0).stopped.resolve()
    await settle()
    expect(released).toEqual([a.url])
  })

  it('is kept as long as any snapshot has it, and stopped once', async () => {
    const { change, threads, released, begin } = open()
    const [a, b, c] = [plugin('a'), plugin('b'), plugin('c')]
    await change(a)
    const endFirst = begin()
    await change(a, b)
    const endSecond = begin()
    await change(c)
    endFirst()
    await settle()
    expect(threads.at(0).asked).toEqual(['load'])
    expect(released).toEqual([])
    endSecond()
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'stop', 'terminate'])
    expect(threads.at(1).asked).toEqual(['load', 'stop', 'terminate'])
    expect(threads.left).toBe(1)
    expect(released).toEqual([a.url, b.url])
  })

  it('by two snapshots that end together has its sources until it has stopped', async () => {
    const { change, threads, released, begin, coming } = open()
    const [a, b] = [plugin('a'), plugin('b')]
    coming({ stop: 'asked' })
    await change(a)
    const endFirst = begin()
    await change(a, b)
    const endSecond = begin()
    await change()
    endFirst()
    endSecond()
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'stop'])
    expect(released).toEqual([])
    threads.at(0).stopped.resolve()
    await settle()
    expect(released).toEqual([a.url, b.url])
  })

  it('of a remote provider has been told so before the provider is loaded again', async () => {
    const { change, threads, coming } = open()
    const provider = (of: Registration): Registration => ({ ...of, runtime: 'exhook' })
    const a = provider(plugin('a'))
    coming({ stop: 'asked' })
    await change(a)
    await change()
    const changing = change(provider(reloaded(a)))
    await settle()
    expect(threads.taken).toHaveLength(1)
    threads.at(0).stopped.resolve()
    await changing
    expect(threads.taken).toHaveLength(2)
  })

  it('of a remote provider that is reloaded hands its session over, and gets it back when that fails', async () => {
    const { change, threads, coming } = open()
    const a: Registration = { ...plugin('a'), runtime: 'exhook' }
    await change(a)
    const later: Registration = { ...reloaded(a), runtime: 'exhook' }
    coming({ load: 'asked' })
    const changing = change(later)
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'handOver begin'])
    threads.at(1).loaded.resolve(REFUSAL)
    await expect(changing).rejects.toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
    expect(threads.at(0).asked).toEqual(['load', 'handOver begin', 'handOver back'])
    await change({ ...later, order: a.order })
    await settle()
    expect(threads.at(0).asked.slice(3, 6)).toEqual(['handOver begin', 'handOver done', 'stop, succeeded'])
    expect(threads.at(2).spec?.plugins).toMatchObject([{ isReload: false }])
  })

  it('of a remote provider is not waited for longer than a shutdown may take', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { change, threads, begin } = open()
    const a: Registration = { ...plugin('a'), runtime: 'exhook' }
    await change(a)
    // A call that does not come back.
    begin()
    await change()
    const changing = change({ ...reloaded(a), runtime: 'exhook' })
    await vi.advanceTimersByTimeAsync(LANE.shutdownTimeoutMs - 1)
    expect(threads.taken).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(threads.taken).toHaveLength(2)
    await changing
  })
})

describe('changes that are asked for at once', () => {
  it('are made in turn, each on top of the one before', async () => {
    const { registry, threads, coming, routed } = open()
    const [a, b] = [plugin('a'), plugin('b')]
    const seen: (readonly Registration[])[] = []
    const add = (one: Registration) => (current: readonly Registration[]) => {
      seen.push(current)
      return [...current, one]
    }
    coming({ load: 'asked' })
    const both = Promise.all([registry.change(add(a)), registry.change(add(b))])
    await settle()
    expect(seen).toEqual([[]])
    threads.at(0).succeed()
    await both
    expect(seen).toEqual([[], [a]])
    expect(routed().onTest).toEqual([a, b])
  })

  it('are made although the one before has failed, on top of what was there before', async () => {
    const { registry, coming, routed } = open()
    const [a, b] = [plugin('a'), plugin('b')]
    coming({ load: REFUSAL })
    const first = registry.change((current) => [...current, a])
    const second = registry.change((current) => [...current, b])
    await expect(first).rejects.toMatchObject({ code: 'PLUGIN_SETUP_FAILED' })
    await second
    expect(routed().onTest).toEqual([b])
  })
})

describe('closing', () => {
  it('waits for the change that is under way, and stops what calls are still under way in', async () => {
    const { change, registry, threads, begin, coming, routed } = open()
    const a = plugin('a')
    coming({ stop: 'asked' })
    await change(a)
    begin()
    coming({ load: 'asked' })
    const changing = change(reloaded(a))
    let isClosed = false
    const closing = registry.close().then(() => {
      isClosed = true
    })
    await settle()
    expect(threads.at(0).asked).toEqual(['load'])
    threads.at(1).succeed()
    await changing
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'stop'])
    expect(isClosed).toBe(false)
    threads.at(0).stopped.resolve()
    await closing
    expect(routed()).toEqual({ onTest: null, onOther: null })
    expect(threads.left).toBe(0)
  })

  it('is over when what was replaced before has stopped', async () => {
    const { change, registry, threads, coming } = open()
    coming({ stop: 'asked' })
    await change(plugin('a'))
    await change()
    let isClosed = false
    const closing = registry.close().then(() => {
      isClosed = true
    })
    await settle()
    expect(isClosed).toBe(false)
    threads.at(0).stopped.resolve()
    await closing
    expect(threads.left).toBe(0)
  })

  it('can wait until no call is under way, whenever it began', async () => {
    const { change, registry, begin } = open()
    const a = plugin('a')
    await change(a)
    const endOld = begin()
    await change(reloaded(a))
    const endNew = begin()
    let isSettled = false
    const settling = registry.whenSettled().then(() => {
      isSettled = true
    })
    endNew()
    await settle()
    expect([isSettled, registry.unsettled]).toEqual([false, 1])
    endOld()
    await settling
    expect(registry.unsettled).toBe(0)
  })
})
