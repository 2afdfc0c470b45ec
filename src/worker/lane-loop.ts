/**
 * A lane's life in its thread: load, serve until told to stop, destroy. The serving loop has two ways of parking:
 *
 *   Atomics.wait        while no plugin has anything of its own going on: lowest latency, no event loop
 *   Atomics.waitAsync   once a hook returned a promise, or a plugin keeps a timer, socket or other live handle
 *
 * Before it parks the loop looks again for a bounded time (ring/idle-strategy.ts).
 */
import type { LaneControl, LaneSpec, LoadResult } from '../contracts/control.js'
import { HookringError } from '../contracts/errors.js'
import type { LaneLoss } from '../contracts/process.js'
import { describe } from '../plugin/setup.js'
import { LATE, within } from '../primitives/within.js'
import { monotonicMs } from '../ring/clock.js'
import { createIdleStrategy, lookInPlace, lookWithTurns } from '../ring/idle-strategy.js'
import { NOTHING, WorkerRing } from '../ring/worker-ring.js'
import { Chain } from './calls/chain.js'
import { type LoadedPlugin, loadPlugins } from './calls/loader.js'
import type { PrestartedChild } from './process/child-runtime.js'
import type { Runtime } from './runtimes/runtime.js'
import { runAs, setResidents, setRunning } from './thread/attribution.js'
import { createHandleWatch } from './thread/handle-watch.js'
import type { HostServices } from './thread/host-services.js'
import type { LogSender } from './thread/log-sender.js'

/** Calls between two looks at microtasks, control messages and the clock. */
const BATCH_CALLS = 64
/** A busy lane gives its event loop a turn this often, so that timers, sockets and messages get theirs. */
const TURN_EVERY_MS = 5
/** Attempts to see new work between two readings of the clock; about a microsecond. */
const LOOKS_PER_CLOCK = 64
/** Turns of the event loop that a control message may take to arrive. */
const CONTROL_TURNS = 100

export interface Lane extends LaneControl {
  /** Told by the control module for each message of the host's. */
  controlArrived(): void
  /** Resolves when the lane has stopped and its plugins are destroyed. */
  readonly ended: Promise<void>
}

export interface LaneBoundary {
  /** The child process in which its plugins will run, booting; null: they run here. */
  readonly prestarted: PrestartedChild | null
  onLost(loss: LaneLoss): void
  /** Left out: there are none. */
  readonly services?: HostServices
}

export function createLane(
  sender: LogSender,
  { prestarted, onLost, services }: LaneBoundary = { prestarted: null, onLost() {} },
): Lane {
  const handles = createHandleWatch()
  let ring: WorkerRing | null = null
  let plugins: readonly LoadedPlugin[] = []
  let shutdownTimeoutMs = 0
  let isStopping = false
  let serving: Promise<void> = Promise.resolve()
  // Control calls under way need the event loop.
  let controlCalls = 0
  let end: () => void
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })

  async function load(spec: LaneSpec): Promise<LoadResult> {
    shutdownTimeoutMs = spec.shutdownTimeoutMs
    setResidents(spec.plugins)
    const laneRing = new WorkerRing(spec.buffer)
    ring = laneRing
    handles.begin()
    const loading = await loadPlugins(spec, {
      logger: sender.logger,
      announce: (index) => laneRing.loading(index),
      services,
      childRuntime: await openChildRuntime(spec),
    })
    plugins = loading.plugins
    if (!loading.result.ok) {
      await destroyAll()
      // The host lets go of the thread when it hears this: what was logged on the way must be there by then.
      await sender.flushed()
      return loading.result
    }
    serving = serve(spec, laneRing).catch((error: unknown) => {
      sender.send({
        level: 'error',
        plugin: '(lane)',
        message: `the lane's loop failed: ${describe(error)}`,
        uncaught: true,
      })
      process.exit(1)
    })
    return loading.result
  }

  async function openChildRuntime(spec: LaneSpec): Promise<Runtime | null> {
    if (prestarted === null) return null
    const { ChildRuntime } = await import('./process/child-runtime.js')
    return new ChildRuntime({ prestarted, spec, log: sender.send, onLost })
  }

  async function serve(spec: LaneSpec, laneRing: WorkerRing): Promise<void> {
    let wake: (() => void) | null = null
    const chain = new Chain({
      spec,
      plugins,
      ring: laneRing,
      onSettled(isWaiting) {
        // The next plugin may have less time than any that the sweep knows of.
        if (isWaiting) deadlines.arm()
        wake?.()
      },
    })
    const idle = createIdleStrategy(spec.wait, spec.spinUs)
    const deadlines = createDeadlineSweep(chain)
    let lastTurnMs = monotonicMs()
    let ranSinceTurn = false

    const takeTurn = async () => {
      await new Promise<void>((resolve) => setImmediate(resolve))
      lastTurnMs = monotonicMs()
      ranSinceTurn = false
    }

    // The answer to load must have left before the thread may sleep.
    await takeTurn()
    while (!isStopping) {
      if (laneRing.controlPending() > 0) {
        await arrivals(laneRing)
        continue
      }
      if (laneRing.takeCancellations()) chain.cancelPending()
      if (runBatch(laneRing, chain, spec.concurrency) > 0) {
        ranSinceTurn = true
        if (chain.pendingCount() > 0) deadlines.arm()
        // Microtasks that hooks left behind get their turn after each batch, the rest of the event loop now and then.
        if (monotonicMs() - lastTurnMs > TURN_EVERY_MS) await takeTurn()
        else await undefined
      }
      if (chain.pendingCount() >= spec.concurrency) {
        await roomOrControl(laneRing, (resolve) => {
          wake = resolve
        })
        wake = null
        continue
      }
      if (laneRing.hasSubmissions()) continue
      // Lines that wait for the host's acknowledgement of the last ones need a loop to hear it, and so do host services.
      // So does whatever a child process has to say.
      const awaits = sender.isSending() || (services !== undefined && services.underWay() > 0)
      const needsLoop = prestarted !== null || chain.hasAsync() || controlCalls > 0 || awaits
      const budgetUs = idle.budgetUs()
      if (budgetUs > 0) {
        const hasWork =
          needsLoop || handles.neededLoop()
            ? await lookWithTurns(laneRing, idle, budgetUs)
            : lookInPlace(laneRing, idle, budgetUs, LOOKS_PER_CLOCK)
        if (hasWork) continue
      }
      if (ranSinceTurn) {
        // Timers that are due and immediates that a synchronous hook left behind run before the thread sleeps.
        await takeTurn()
        continue
      }
      // Told to stop while it looked: nobody would wake it again.
      if (isStopping) break
      if (handles.needsLoop() || needsLoop) await laneRing.parkAsync()
      else laneRing.park()
    }
    deadlines.disarm()
  }

  /** As many hooks are pending as may be: sleeps until one settles or the host has something other than calls to say. */
  async function roomOrControl(laneRing: WorkerRing, onSettled: (resolve: () => void) => void): Promise<void> {
    await new Promise<void>((resolve) => {
      onSettled(resolve)
      const sleep = laneRing.parkAsync({ forCalls: false })
      if (sleep === null) resolve()
      else void sleep.then(() => resolve())
    })
    laneRing.unpark()
  }

  async function arrivals(laneRing: WorkerRing): Promise<void> {
    for (let turn = 0; turn < CONTROL_TURNS; turn += 1) {
      if (laneRing.controlPending() <= 0) return
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    // It does not come. Only then: one that was announced just now is still on its way, and must not pass for seen.
    while (laneRing.controlPending() > 0) laneRing.controlSeen()
  }

  /** A control call keeps the event loop alive while it runs, and wakes a loop that parked before it came. */
  async function underControl<T>(body: () => Promise<T>): Promise<T> {
    controlCalls += 1
    try {
      return await body()
    } finally {
      controlCalls -= 1
    }
  }

  async function destroyAll(): Promise<void> {
    const destroyed = plugins
    plugins = []
    for (const plugin of [...destroyed].reverse()) {
      await lifecycle(plugin, 'destroy')
      await plugin.dispose?.()
    }
  }

  async function lifecycle(plugin: LoadedPlugin, key: 'onShutdown' | 'destroy'): Promise<void> {
    const hook = plugin[key]
    if (hook === undefined) return
    try {
      const done = runAs(plugin.name, hook)
      await withTimeout(Promise.resolve(done), shutdownTimeoutMs, `${key} took longer than ${shutdownTimeoutMs} ms`)
    } catch (error) {
      sender.send({ level: 'error', plugin: plugin.name, message: `${key} failed: ${describe(error)}`, uncaught: true })
    }
  }

  return {
    load,
    shutdown: () =>
      underControl(async () => {
        await Promise.all(plugins.map((plugin) => lifecycle(plugin, 'onShutdown')))
      }),
    stop: () =>
      underControl(async () => {
        isStopping = true
        ring?.unpark()
        await serving
        await destroyAll()
        // The host lets go of the thread when this resolves: what was logged last must be there by then.
        await sender.flushed()
        setImmediate(end)
      }),
    controlArrived() {
      ring?.controlSeen()
    },
    ended,
  }
}

function runBatch(ring: WorkerRing, chain: Chain, concurrency: number): number {
  if (chain.pendingCount() >= concurrency || !ring.hasSubmissions()) return 0
  let ran = 0
  // Where one hop ends the next begins: one reading of the clock for both.
  let nowMs = monotonicMs()
  while (ran < BATCH_CALLS && chain.pendingCount() < concurrency) {
    const slot = ring.claim()
    if (slot === NOTHING) break
    nowMs = chain.run(slot, nowMs)
    ran += 1
  }
  ring.leave()
  setRunning(undefined)
  return ran
}

/** One timer for the deadlines of all pending hops. */
function createDeadlineSweep(chain: Chain): { arm(): void; disarm(): void } {
  let timer: NodeJS.Timeout | null = null
  let dueMs = Number.POSITIVE_INFINITY
  const sweep = () => {
    timer = null
    dueMs = Number.POSITIVE_INFINITY
    arm()
  }
  function arm(): void {
    const now = monotonicMs()
    const next = chain.expire(now)
    if (next === null || next >= dueMs) return
    if (timer !== null) clearTimeout(timer)
    dueMs = next
    timer = setTimeout(sweep, Math.max(1, Math.ceil(next - now)))
  }
  return {
    arm,
    disarm() {
      if (timer !== null) clearTimeout(timer)
    },
  }
}

async function withTimeout<T>(promise: Promise<T>, ms: number, message: string): Promise<T> {
  const value = await within(promise, ms)
  if (value === LATE) throw new HookringError('CONTROL_TIMEOUT', message)
  return value
}
