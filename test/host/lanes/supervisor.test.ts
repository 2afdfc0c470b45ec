/** The lives of lanes. Threads are stand-ins and the clock is the test's; lanes, bulkheads and their memory are real. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { HookringError } from '../../../dist/contracts/errors.js'
import { Expiry } from '../../../dist/host/calls/expiry.js'
import { Supervisor } from '../../../dist/host/lanes/supervisor.js'
import { Bulkhead } from '../../../dist/host/model/bulkhead.js'
import { Call } from '../../../dist/host/model/call.js'
import type { HookpointState } from '../../../dist/host/model/hookpoint-state.js'
import type { Lane } from '../../../dist/host/model/lane.js'
import type { Route } from '../../../dist/host/model/route.js'
import { WorkerRing } from '../../../dist/ring/worker-ring.js'
import { codecOf } from '../../support/codec-round.js'
import { type Conduct, deferred, manifest, ThreadStandIns } from '../../support/thread-stand-ins.js'

const SHUTDOWN_MS = 1_000
const GRACE_MS = 500
/** When a seat's second memory has been made. */
const PREPARED_MS = 20
const CRASH = new Error('worker exited with code: 1')

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

interface SceneOptions {
  readonly workers?: number
  /** Of the threads, in the order in which they are taken. */
  readonly conducts?: readonly Conduct[]
  readonly maxEventBytes?: number
  readonly ensureSources?: () => Promise<void>
}

function open({ workers = 1, conducts = [], maxEventBytes = 256, ensureSources }: SceneOptions = {}) {
  const { encoder } = codecOf(z.object({ text: z.string() }))
  const hookpoint = { index: 0, kind: 'gate', name: 'onTest', encoder, expectedBytes: 40, replyAreas: 0 } as object
  const hookpoints = [{ ...hookpoint, replyRoom: () => 0 } as unknown as HookpointState]
  const emitted: [string, object][] = []
  const emit = (name: string, event: object) => void emitted.push([name, event])
  const completed: Call[] = []
  const restarts: string[] = []
  const forgotten: string[] = []
  const blamed: string[] = []
  const zombies: number[] = []
  const threads = new ThreadStandIns(conducts)
  const unasked = null as never
  const expiry = new Expiry({
    ...{ hops: unasked, completion: unasked, emit: unasked },
    deadlines: { watch() {} },
    lostMsSince: () => 0,
  })
  const supervisor = new Supervisor({
    ...{ threads, hookpoints, expiry, maxEventBytes },
    pump: { forget: ({ id }) => void forgotten.push(`pump ${id}`) },
    watchdog: { forget: ({ id }) => void forgotten.push(`watchdog ${id}`) },
    listener: { begun() {}, completed: (_lane, _slot, call) => void completed.push(call), late() {}, violated() {} },
    emit: emit as never,
    ...{ setupTimeoutMs: 5_000, shutdownTimeoutMs: SHUTDOWN_MS, terminateGraceMs: GRACE_MS },
    ...(ensureSources === undefined ? {} : { ensureSources }),
    onLog() {},
    servicesFor: () => unasked,
    onCrashBlamed: (plugin) => void blamed.push(plugin),
    onZombie: (change) => void zombies.push(change),
  })
  const bulkhead = new Bulkhead({
    ...{ name: 'shared', workers, slots: 4, maxQueue: 8, concurrency: 1 },
    profile: {
      memoryMb: 64,
      env: {},
      execArgv: [],
      loadsTypeScript: false,
      reportsImports: false,
      isHardened: false,
      child: null,
    },
  })
  const plugins = [{ name: 'a', url: 'file:///a.js' }]
  bulkhead.spec = { plugins, hookpoints: [{ name: 'onTest' }] } as unknown as Bulkhead['spec']
  bulkhead.plugins = [{ name: 'a', index: 0 }] as unknown as Bulkhead['plugins']
  bulkhead.recorder = { recordRestart: (why: string) => void restarts.push(why) } as unknown as Bulkhead['recorder']
  const laneAt = (seat = 0): Lane => {
    const { lane } = bulkhead.seats[seat]!
    if (lane === null) throw new Error(`seat ${seat} is empty`)
    return lane
  }
  return {
    ...{ supervisor, bulkhead, threads, laneAt, emitted, completed, restarts, forgotten, blamed, zombies },
    errors: () => emitted.filter(([name]) => name === 'error').map(([, error]) => error as HookringError),
    /** A call that the lane of the first seat has been given. */
    ask(text: string): Call {
      const call = new Call(hookpoints[0]!, { steps: [{ mask: 1, firstMs: 50, shortestMs: 50 }] } as unknown as Route)
      call.step = 0
      call.left = 1
      if (!laneAt().submitEvent(call, { text })) throw new Error('the lane has no room')
      return call
    },
  }
}

/** Lets everything go on as far as it does by itself. */
const settle = () => vi.advanceTimersByTimeAsync(0)

/** The state of a promise now. */
function watch(promise: Promise<unknown>) {
  const watched = { state: 'pending' }
  promise.then(
    () => {
      watched.state = 'resolved'
    },
    () => {
      watched.state = 'rejected'
    },
  )
  return watched
}

describe('starting a bulkhead', () => {
  it('starts a lane in every seat, all at once, and returns the manifests of their plugins', async () => {
    const { supervisor, bulkhead, threads, laneAt } = open({
      workers: 3,
      conducts: [{ load: 'asked' }, { load: 'asked' }, { load: 'asked' }],
    })
    const starting = supervisor.start(bulkhead)
    await settle()
    expect(threads.taken.map(({ asked }) => asked)).toEqual([['load'], ['load'], ['load']])
    expect(bulkhead.seats.map(({ lane }) => lane)).toEqual([null, null, null])
    for (const thread of threads.taken) thread.succeed()
    expect(await starting).toEqual([manifest('a', ['onTest'])])
    expect([0, 1, 2].map((seat) => [laneAt(seat).id, laneAt(seat).state])).toEqual([
      ['shared/0#1', 'serving'],
      ['shared/1#1', 'serving'],
      ['shared/2#1', 'serving'],
    ])
    expect(new Set(threads.taken.map(({ spec }) => spec?.buffer)).size).toBe(3)
    expect(threads.taken.map(({ isReplacement }) => isReplacement)).toEqual([false, false, false])
  })

  const refusal = { ok: false, code: 'PLUGIN_SETUP_FAILED', message: 'no', plugin: 'a' } as const
  const late = new HookringError('CONTROL_TIMEOUT', 'late')
  it.each<[string, Conduct, object]>([
    ['whose plugin refuses', { load: refusal }, { code: 'PLUGIN_SETUP_FAILED', message: 'no', plugin: 'a' }],
    ['whose plugin takes too long', { load: late }, { code: 'PLUGIN_SETUP_TIMEOUT' }],
    ['whose thread does not boot', { boot: CRASH }, { code: 'LANE_BOOT_FAILED', cause: CRASH }],
  ])('one seat %s ends all of the others, and the error says why', async (_what, conduct, cause) => {
    const { supervisor, bulkhead, threads } = open({ workers: 3, conducts: [{}, conduct, { load: 'asked' }] })
    const starting = supervisor.start(bulkhead)
    const outcome = watch(starting)
    await settle()
    // None starts behind the back of whoever ends them.
    expect(outcome.state).toBe('pending')
    threads.at(2).succeed()
    await expect(starting).rejects.toMatchObject(cause)
    expect(threads.at(0).asked).toEqual(['load', 'stop', 'terminate'])
    expect(threads.at(2).asked).toEqual(['load', 'stop', 'terminate'])
    expect(threads.left).toBe(0)
    expect(bulkhead.seats.map(({ lane }) => lane)).toEqual([null, null, null])
  })

  it('a thread that ends while its plugins load fails the start', async () => {
    const { supervisor, bulkhead, threads } = open({ conducts: [{ load: 'asked' }] })
    const starting = supervisor.start(bulkhead)
    const refused = expect(starting).rejects.toMatchObject({ code: 'PLUGIN_CRASHED', cause: CRASH })
    await settle()
    threads.at(0).crash(CRASH)
    await refused
    expect(threads.left).toBe(0)
  })

  it('plugins that hook other hookpoints in one lane than in another leave no threads', async () => {
    const other = { ok: true as const, manifests: [manifest('a', ['onOther'])] }
    const { supervisor, bulkhead, threads } = open({ workers: 2, conducts: [{}, { load: other }] })
    await expect(supervisor.start(bulkhead)).rejects.toMatchObject({ code: 'PLUGIN_INCONSISTENT', plugin: 'a' })
    expect(threads.taken).toHaveLength(2)
    expect(threads.left).toBe(0)
  })

  it('a lane for which there is no memory leaves no thread', async () => {
    const { supervisor, bulkhead, threads } = open({ maxEventBytes: 2 ** 30 })
    await expect(supervisor.start(bulkhead)).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    expect(threads.taken).toHaveLength(1)
    expect(threads.left).toBe(0)
  })
})

describe('a lane that is replaced', () => {
  it('counts what came back and takes the rest back, and the next generation serves in its seat', async () => {
    const { supervisor, bulkhead, threads, laneAt, ask, completed, restarts, forgotten, emitted } = open()
    await supervisor.start(bulkhead)
    const first = laneAt()
    const done = ask('done')
    first.publish()
    const worker = new WorkerRing(first.memory.buffer)
    const slot = worker.claim()
    worker.setContinue(slot)
    worker.complete(slot)
    const unclaimed = ask('not begun')
    supervisor.replace(first, 'crash', { plugin: 'a', message: 'it crashed' })
    expect(completed).toEqual([done])
    expect([first.state, bulkhead.seats[0]!.lane]).toEqual(['dead', null])
    expect(unclaimed.lane).toBeNull()
    expect(bulkhead.queueDepth).toBe(1)
    expect(forgotten).toEqual(['pump shared/0#1', 'watchdog shared/0#1'])
    await settle()
    const second = laneAt()
    expect([second.id, second.state, second.inFlight]).toEqual(['shared/0#2', 'serving', 1])
    expect(unclaimed.lane).toBe(second)
    expect(bulkhead.queueDepth).toBe(0)
    expect(threads.taken.map(({ isReplacement }) => isReplacement)).toEqual([false, true])
    expect(restarts).toEqual(['crash'])
    const [[name, event]] = emitted as [[string, object]]
    expect(name).toBe('laneReplaced')
    expect(event).toMatchObject({ bulkhead: 'shared', lane: 'shared/0#1', reason: 'crash', plugin: 'a' })
    expect(threads.at(0).hasExited).toBe(true)
  })

  it('because it broke the protocol counts nothing of what it gave back', async () => {
    const { supervisor, bulkhead, laneAt, ask, completed } = open()
    await supervisor.start(bulkhead)
    // Nobody is here to settle it.
    ask('done').isSettled = true
    laneAt().publish()
    const worker = new WorkerRing(laneAt().memory.buffer)
    const slot = worker.claim()
    worker.setContinue(slot)
    worker.complete(slot)
    supervisor.replace(laneAt(), 'violation', { message: 'it lied' })
    expect(completed).toEqual([])
  })

  it('twice in a row is replaced once', async () => {
    const { supervisor, bulkhead, threads, laneAt } = open()
    await supervisor.start(bulkhead)
    const lane = laneAt()
    supervisor.replace(lane, 'crash', { message: 'it crashed' })
    supervisor.replace(lane, 'crash', { message: 'it crashed' })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(threads.taken).toHaveLength(2)
  })

  it('hands down its memory when its thread has exited, and not before', async () => {
    const { supervisor, bulkhead, threads, laneAt } = open({ conducts: [{ exit: 'asked' }, { exit: 'asked' }] })
    await supervisor.start(bulkhead)
    for (let replaced = 0; replaced < 2; replaced += 1) {
      laneAt().completions = 1
      supervisor.replace(laneAt(), 'crash', { message: 'it crashed' })
      await settle()
    }
    const buffers = () => threads.taken.map(({ spec }) => spec?.buffer)
    expect(new Set(buffers()).size).toBe(3)
    threads.at(0).exit()
    await settle()
    laneAt().completions = 1
    supervisor.replace(laneAt(), 'crash', { message: 'it crashed' })
    await settle()
    expect(buffers()[3]).toBe(buffers()[0])
  })

  it('whose thread does not exit is a zombie until it does, and its memory is not used again', async () => {
    const { supervisor, bulkhead, threads, laneAt, emitted, zombies } = open({ conducts: [{ exit: 'asked' }] })
    await supervisor.start(bulkhead)
    await vi.advanceTimersByTimeAsync(PREPARED_MS)
    const { buffer } = laneAt().memory
    supervisor.replace(laneAt(), 'hang', { plugin: 'a', message: 'it hung' })
    await vi.advanceTimersByTimeAsync(GRACE_MS - 1)
    expect(zombies).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(zombies).toEqual([1])
    const zombie = { bulkhead: 'shared', lane: 'shared/0#1', plugin: 'a', graceMs: GRACE_MS }
    expect(emitted.find(([name]) => name === 'zombie')?.[1]).toEqual(zombie)
    threads.at(0).exit()
    await settle()
    expect(zombies).toEqual([1, -1])
    for (let generation = 2; generation < 5; generation += 1) {
      expect(laneAt().memory.buffer).not.toBe(buffer)
      laneAt().completions = 1
      supervisor.replace(laneAt(), 'crash', { message: 'it crashed' })
      await settle()
    }
  })

  it.each<[string, Error | null, string]>([
    ['out of memory', Object.assign(new Error('heap'), { code: 'ERR_WORKER_OUT_OF_MEMORY' }), 'memory'],
    ['by an exit', CRASH, 'exit'],
    ['by an error', new Error('boom'), 'crash'],
  ])('because its thread ended %s says so, and its only plugin is blamed', async (_what, crash, reason) => {
    const { supervisor, bulkhead, threads, laneAt, blamed, restarts, emitted } = open()
    await supervisor.start(bulkhead)
    threads.at(0).crash(crash)
    await settle()
    expect(laneAt().id).toBe('shared/0#2')
    expect(blamed).toEqual(['a'])
    expect(restarts).toEqual([reason])
    expect(emitted).toMatchObject([['laneReplaced', { reason, plugin: 'a' }]])
  })

  it('because its child process is lost names the plugin that ran there', async () => {
    const { supervisor, bulkhead, threads, laneAt, blamed, emitted } = open()
    await supervisor.start(bulkhead)
    threads.at(0).lose({ reason: 'crash', plugin: 0, message: 'its process ended' })
    await settle()
    expect(laneAt().id).toBe('shared/0#2')
    expect(blamed).toEqual(['a'])
    expect(emitted).toMatchObject([['laneReplaced', { reason: 'crash', plugin: 'a', message: 'its process ended' }]])
  })
})

describe('a seat', () => {
  /** The figures that a seat waits for, one after the other, as far as `taken` grows. */
  async function pausesOf(threads: ThreadStandIns, pauses: readonly number[], next: () => void) {
    for (const pauseMs of pauses) {
      const before = threads.taken.length
      next()
      await vi.advanceTimersByTimeAsync(Math.max(pauseMs - 1, 0))
      expect([pauseMs, threads.taken.length]).toEqual([pauseMs, pauseMs === 0 ? before + 1 : before])
      if (pauseMs > 0) await vi.advanceTimersByTimeAsync(1)
      expect([pauseMs, threads.taken.length]).toEqual([pauseMs, before + 1])
    }
  }

  it('whose lanes die soon and give nothing back waits longer each time, up to five seconds', async () => {
    const { supervisor, bulkhead, threads, laneAt } = open()
    await supervisor.start(bulkhead)
    const pauses = [0, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]
    await pausesOf(threads, pauses, () => threads.taken.at(-1)?.crash(CRASH))
    // One that has given something back is replaced at once.
    laneAt().completions = 1
    await pausesOf(threads, [0, 0, 100], () => threads.taken.at(-1)?.crash(CRASH))
  })

  it('whose lane hung after a long life is not delayed', async () => {
    const { supervisor, bulkhead, threads, laneAt } = open()
    await supervisor.start(bulkhead)
    await pausesOf(threads, [0, 0, 0], () => supervisor.replace(laneAt(), 'hang', { message: 'it hung' }))
  })

  it('whose next lane does not start reports it each time, blames the plugin, and waits longer before each try', async () => {
    const refusal = { ok: false, code: 'PLUGIN_SETUP_FAILED', message: 'no', plugin: 'a' } as const
    const failing = Array.from({ length: 8 }, () => ({ load: refusal }))
    const { supervisor, bulkhead, threads, laneAt, errors, blamed, emitted } = open({ conducts: [{}, ...failing] })
    await supervisor.start(bulkhead)
    supervisor.replace(laneAt(), 'hang', { message: 'it hung' })
    await settle()
    expect(threads.taken).toHaveLength(2)
    await pausesOf(threads, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000], () => {})
    await settle()
    expect(errors().map(({ code, plugin }) => [code, plugin])).toEqual(failing.map(() => ['PLUGIN_SETUP_FAILED', 'a']))
    expect(blamed).toEqual(failing.map(() => 'a'))
    expect(laneAt().id).toBe('shared/0#10')
    expect(emitted.at(-1)).toMatchObject(['laneReplaced', { lane: 'shared/0#1', reason: 'hang' }])
    expect(threads.left).toBe(1)
    // The count begins anew with a lane that has served.
    threads.coming.push({ load: refusal })
    supervisor.replace(laneAt(), 'hang', { message: 'it hung' })
    await settle()
    await pausesOf(threads, [100], () => {})
  })
})

describe('stopping a bulkhead', () => {
  it('ends the plugins in every lane, then the threads', async () => {
    const { supervisor, bulkhead, threads } = open({ workers: 2, conducts: [{ stop: 'asked' }] })
    await supervisor.start(bulkhead)
    await supervisor.shutdown(bulkhead)
    bulkhead.isSucceeded = true
    const stopping = supervisor.stop(bulkhead)
    const stopped = watch(stopping)
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'shutdown', 'stop, succeeded'])
    expect(threads.at(1).asked).toEqual(['load', 'shutdown', 'stop, succeeded', 'terminate'])
    expect(stopped.state).toBe('pending')
    threads.at(0).stopped.resolve()
    await stopping
    expect(threads.left).toBe(0)
    expect(bulkhead.isClosed).toBe(true)
  })

  it('twice returns one promise, and ends its plugins once', async () => {
    const { supervisor, bulkhead, threads } = open({ conducts: [{ stop: 'asked' }] })
    await supervisor.start(bulkhead)
    const stopping = supervisor.stop(bulkhead)
    expect(supervisor.stop(bulkhead)).toBe(stopping)
    threads.at(0).stopped.resolve()
    await stopping
    expect(supervisor.stop(bulkhead)).toBe(stopping)
    await settle()
    expect(threads.at(0).asked).toEqual(['load', 'stop', 'terminate'])
  })

  it('whose lane does not answer terminates its thread', async () => {
    const { supervisor, bulkhead, threads } = open({ conducts: [{ stop: 'asked' }] })
    await supervisor.start(bulkhead)
    const stopping = supervisor.stop(bulkhead)
    threads.at(0).stopped.reject(new HookringError('CONTROL_TIMEOUT', 'late'))
    await stopping
    expect(threads.left).toBe(0)
  })

  it('whose lane dies meanwhile starts no other', async () => {
    const { supervisor, bulkhead, threads } = open({ conducts: [{ stop: 'asked' }] })
    await supervisor.start(bulkhead)
    const stopping = supervisor.stop(bulkhead)
    threads.at(0).crash(CRASH)
    await stopping
    await vi.runAllTimersAsync()
    expect(threads.taken).toHaveLength(1)
    expect(threads.left).toBe(0)
  })

  it('whose lane is found to hang meanwhile counts one zombie at most', async () => {
    const { supervisor, bulkhead, threads, laneAt, emitted, zombies } = open({
      conducts: [{ stop: 'asked', exit: 'asked' }],
    })
    await supervisor.start(bulkhead)
    const lane = laneAt()
    const stopping = supervisor.stop(bulkhead)
    supervisor.replace(lane, 'hang', { plugin: 'a', message: 'it hung' })
    await vi.advanceTimersByTimeAsync(2 * GRACE_MS)
    await stopping
    expect(emitted.map(([name]) => name)).toEqual(['zombie'])
    threads.at(0).exit()
    await settle()
    expect(zombies).toEqual([1, -1])
  })
})

describe('stopping a bulkhead while a lane is being replaced', () => {
  async function replacing(conduct: Conduct, { workers = 1, first = {} as Conduct } = {}) {
    const conducts = [first, ...Array.from({ length: workers - 1 }, () => first), conduct]
    const scene = open({ workers, conducts })
    await scene.supervisor.start(scene.bulkhead)
    scene.supervisor.replace(scene.laneAt(), 'crash', { message: 'it crashed' })
    await settle()
    return { ...scene, next: scene.threads.at(workers) }
  }

  it('lets the next lane come up in its time, and ends its plugins', async () => {
    const { supervisor, bulkhead, threads, next, emitted } = await replacing({ load: 'asked' })
    const stopping = supervisor.stop(bulkhead)
    next.succeed()
    await stopping
    expect(next.asked).toEqual(['load', 'stop', 'terminate'])
    // It was to replace nothing any more.
    expect(emitted).toEqual([])
    expect(threads.left).toBe(0)
  })

  it('does not wait longer than a shutdown may take, and ends what comes up later', async () => {
    const { supervisor, bulkhead, threads, next, emitted } = await replacing({ load: 'asked' })
    const stopping = supervisor.stop(bulkhead)
    const stopped = watch(stopping)
    await vi.advanceTimersByTimeAsync(SHUTDOWN_MS - 1)
    expect(stopped.state).toBe('pending')
    await vi.advanceTimersByTimeAsync(1)
    expect(stopped.state).toBe('resolved')
    next.succeed()
    await settle()
    await supervisor.settled()
    expect(threads.left).toBe(0)
    expect(bulkhead.seats[0]!.lane).toBeNull()
    expect(emitted).toEqual([])
  })

  it('ends what comes up while other seats are still being stopped', async () => {
    const { supervisor, bulkhead, threads, next } = await replacing(
      { load: 'asked' },
      { workers: 2, first: { stop: 'asked' } },
    )
    const stopping = supervisor.stop(bulkhead)
    await vi.advanceTimersByTimeAsync(SHUTDOWN_MS)
    next.succeed()
    await settle()
    threads.at(1).stopped.resolve()
    await stopping
    await supervisor.settled()
    expect(threads.left).toBe(0)
    expect(bulkhead.seats.map(({ lane }) => lane)).toEqual([null, null])
  })

  it('loads no plugins in a thread that boots afterwards, and asks for no sources', async () => {
    let asked = 0
    const ensureSources = async () => {
      asked += 1
    }
    const { supervisor, bulkhead, threads, laneAt } = open({ conducts: [{}, { boot: 'asked' }], ensureSources })
    await supervisor.start(bulkhead)
    supervisor.replace(laneAt(), 'hang', { message: 'it hung' })
    const stopping = supervisor.stop(bulkhead)
    await vi.advanceTimersByTimeAsync(SHUTDOWN_MS)
    await stopping
    threads.at(1).booted.resolve()
    await settle()
    expect(threads.at(1).asked).toEqual(['terminate'])
    expect(asked).toBe(1)
    expect(threads.left).toBe(0)
  })

  it('loads no plugins whose sources are there afterwards', async () => {
    const late = deferred()
    const sources = [Promise.resolve(), late.promise]
    const ensureSources = async () => void (await sources.shift())
    const { supervisor, bulkhead, threads, laneAt } = open({ ensureSources })
    await supervisor.start(bulkhead)
    supervisor.replace(laneAt(), 'hang', { message: 'it hung' })
    const stopping = supervisor.stop(bulkhead)
    await vi.advanceTimersByTimeAsync(SHUTDOWN_MS)
    await stopping
    late.resolve()
    await settle()
    expect(threads.at(1).asked).toEqual(['terminate'])
    expect(threads.left).toBe(0)
  })

  it('ends the pause before the next try', async () => {
    const { supervisor, bulkhead, threads, errors } = await replacing({ load: CRASH })
    expect(errors()).toHaveLength(1)
    await supervisor.stop(bulkhead)
    await vi.runAllTimersAsync()
    expect(threads.taken).toHaveLength(2)
    expect(threads.left).toBe(0)
  })

  it('waits for the successor of a lane that died as it began to serve', async () => {
    const { supervisor, bulkhead, threads, laneAt } = open({ conducts: [{}, { load: 'asked' }, { load: 'asked' }] })
    await supervisor.start(bulkhead)
    supervisor.replace(laneAt(), 'hang', { message: 'it hung' })
    await settle()
    threads.at(1).succeed()
    threads.at(1).crash(CRASH)
    await settle()
    const stopping = supervisor.stop(bulkhead)
    const stopped = watch(stopping)
    await settle()
    expect(stopped.state).toBe('pending')
    threads.at(2).succeed()
    await stopping
    expect(threads.at(2).asked).toEqual(['load', 'stop', 'terminate'])
    expect(threads.left).toBe(0)
  })
})
