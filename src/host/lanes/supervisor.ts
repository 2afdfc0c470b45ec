/**
 * Lanes' lives: starting them in their seats, watching them, replacing them, letting them go. Host's thread only.
 *
 *   seat: empty -> starting -> serving -> (hang | crash | violation | stall) -> starting (next generation) ...
 *                                 \-> draining -> stopped
 */

import type { LoadResult, LogBatch, Manifest, ServiceAnswer, ServiceCall } from '../../contracts/control.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { LaneLoss } from '../../contracts/process.js'
import { monotonicMs } from '../../ring/clock.js'
import { blameOf, type Expiry } from '../calls/expiry.js'
import type { Pump } from '../calls/pump.js'
import type { Bulkhead, Seat } from '../model/bulkhead.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import { Lane, type LaneListener } from '../model/lane.js'
import type { Emit } from '../telemetry/events.js'
import type { RestartReason } from '../telemetry/recorders.js'
import { checkSame, crashedWhileLoading, loadFailure } from './failed-starts.js'
import { createLaneMemories } from './lane-memories.js'
import type { LaneThread, LaneThreads } from './lane-threads.js'
import { createDepartures } from './thread-exits.js'
import type { Watchdog } from './watchdog.js'

/** A start that failed is tried again after this long, doubling up to the second figure. */
const RETRY_MS = 100
const RETRY_MAX_MS = 5_000
/** A lane that dies sooner and has given nothing back will die again. */
const SHORT_LIFE_MS = 1_000

export interface SupervisorOptions {
  readonly threads: LaneThreads
  readonly hookpoints: readonly HookpointState[]
  readonly expiry: Expiry
  readonly pump: Pump
  readonly watchdog: Watchdog
  readonly listener: LaneListener
  readonly emit: Emit
  readonly setupTimeoutMs: number
  readonly shutdownTimeoutMs: number
  readonly terminateGraceMs: number
  readonly maxEventBytes: number
  onLog(bulkhead: Bulkhead, batch: LogBatch): void
  /** What answers a lane's plugins when they ask for a host service. */
  servicesFor(bulkhead: Bulkhead): (call: ServiceCall) => Promise<ServiceAnswer>
  /** A lane died while `plugin` ran, outside any call. */
  onCrashBlamed(plugin: string): void
  onZombie(change: 1 | -1): void
}

export interface Supervisor {
  /** Starts every seat of a bulkhead. @throws HookringError PLUGIN_..., after which none of its threads is left. */
  start(bulkhead: Bulkhead): Promise<readonly Manifest[]>
  /** The lane's generation is given up; its calls are seen to and the next generation starts. */
  replace(
    lane: Lane,
    reason: RestartReason,
    detail: { plugin?: string | undefined; hookpoint?: string | undefined; message: string },
  ): void
  /** Runs onShutdown in every lane. Failures are logged by the lanes. */
  shutdown(bulkhead: Bulkhead): Promise<void>
  /** destroy in every lane, then the end of its threads. Never rejects. */
  stop(bulkhead: Bulkhead): Promise<void>
  /** Resolves when every thread that was let go of on the way is gone, or is a zombie. Never rejects. */
  settled(): Promise<void>
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { threads, expiry, pump, watchdog, emit } = options
  const memories = createLaneMemories(options.hookpoints, options.maxEventBytes)
  const { letGo, letGoMeanwhile, settled } = createDepartures({ ...options, memories })
  const stops = new WeakMap<Bulkhead, Promise<void>>()

  async function start(bulkhead: Bulkhead): Promise<readonly Manifest[]> {
    const results = await Promise.allSettled(bulkhead.seats.map((seat) => startSeat(bulkhead, seat)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) {
      await stop(bulkhead)
      throw failed.reason
    }
    const manifests = results.map((result) => (result as PromiseFulfilledResult<readonly Manifest[]>).value)
    const [first] = manifests as [readonly Manifest[]]
    for (const other of manifests) checkSame(bulkhead, first, other)
    return first
  }

  function makeLane(bulkhead: Bulkhead, seat: Seat): Lane {
    seat.generation += 1
    return new Lane({
      id: `${bulkhead.name}/${seat.index}#${seat.generation}`,
      bulkhead,
      seat,
      maxEventBytes: options.maxEventBytes,
      listener: options.listener,
      memory: memories.take(bulkhead, seat),
    })
  }

  async function takeThread({ name, options: made }: Bulkhead, isReplacement: boolean): Promise<LaneThread> {
    try {
      return await threads.take(made.profile, isReplacement)
    } catch (error) {
      const message = `a lane of bulkhead ${name} did not boot with limits.memoryMb ${made.profile.memoryMb}: ${thrownText(error)}`
      throw new HookringError('PLUGIN_CRASHED', message, { cause: error })
    }
  }

  /** Boots, loads, and puts the lane in its seat; it serves from then on. */
  async function startSeat(bulkhead: Bulkhead, seat: Seat): Promise<readonly Manifest[]> {
    const thread = await takeThread(bulkhead, seat.generation > 0)
    const lane = makeLane(bulkhead, seat)
    const { id } = lane
    thread.link.onLog((batch) => options.onLog(bulkhead, batch))
    thread.link.onServe(options.servicesFor(bulkhead))
    if (bulkhead.spec === null) throw new Error('bulkhead without a spec')
    const spec = { ...bulkhead.spec, lane: id, buffer: lane.ring.buffer }
    let result: LoadResult
    try {
      result = await Promise.race([
        thread.link.load(spec, options.setupTimeoutMs),
        thread.ended.then((crash) => {
          throw new HookringError('PLUGIN_CRASHED', crashedWhileLoading(lane, crash), { cause: crash })
        }),
      ])
    } catch (error) {
      const failure = loadFailure(lane, error, options.setupTimeoutMs)
      letGoMeanwhile(lane, thread, failure.plugin)
      throw failure
    }
    if (!result.ok) {
      letGoMeanwhile(lane, thread, result.plugin)
      const cause = result.stack === undefined ? undefined : new Error(result.stack)
      throw new HookringError(result.code, result.message, { plugin: result.plugin, cause })
    }
    if (bulkhead.isClosed) {
      // Nobody waits for it any more.
      letGoMeanwhile(lane, thread, undefined)
      throw new HookringError('ENGINE_CLOSED', `bulkhead ${bulkhead.name} was closed while a lane of it started`)
    }
    thread.link.onSent(() => lane.ring.announceControl())
    thread.link.onLost((loss) => lost(lane, loss))
    seat.lane = lane
    seat.thread = thread
    seat.failedStarts = 0
    lane.state = 'serving'
    lane.sinceMs = monotonicMs()
    void thread.ended.then((crash) => {
      if (lane.state === 'serving') died(lane, crash)
    })
    bulkhead.feed()
    memories.prepareSoon(bulkhead, seat)
    return result.manifests
  }

  function died(lane: Lane, crash: Error | null): void {
    const code = (crash as { code?: string } | null)?.code
    const reason: RestartReason =
      code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : crash?.message.startsWith('worker exited') ? 'exit' : 'crash'
    const blame = blameOf(lane, lane.ring.runningSlot(), monotonicMs())
    const sole = lane.bulkhead.plugins.length === 1 ? lane.bulkhead.plugins[0] : undefined
    const plugin = blame?.plugin?.name ?? sole?.name
    if (blame === null && plugin !== undefined) options.onCrashBlamed(plugin)
    replace(lane, reason, {
      plugin,
      hookpoint: blame?.hookpoint,
      message: `its thread ended: ${crash?.message ?? 'it stopped by itself'}`,
    })
  }

  /** The lane lives, but what runs its plugins does not. */
  function lost(lane: Lane, { reason, plugin: index, hookpoint, message }: LaneLoss): void {
    if (lane.state !== 'serving') return
    const { plugins } = lane.bulkhead
    const plugin = plugins[index ?? (plugins.length === 1 ? 0 : -1)]?.name
    if (plugin !== undefined && hookpoint === undefined) options.onCrashBlamed(plugin)
    if (reason === 'violation') lane.bulkhead.recorder?.recordViolation('frame')
    replace(lane, reason, { plugin, hookpoint, message })
  }

  function replace(
    lane: Lane,
    reason: RestartReason,
    detail: { plugin?: string | undefined; hookpoint?: string | undefined; message: string },
  ): void {
    if (lane.state === 'dead') return
    const sinceMs = monotonicMs()
    const { seat, bulkhead } = lane
    const { thread } = seat
    // What has come back counts, except from a worker that no longer follows the protocol.
    if (reason !== 'violation') lane.drain(Number.POSITIVE_INFINITY)
    lane.state = 'dead'
    seat.lane = null
    seat.thread = null
    pump.forget(lane)
    watchdog.forget(lane)
    bulkhead.recorder?.recordRestart(reason)
    const isShortLived =
      lane.completions === 0 && sinceMs - lane.sinceMs < SHORT_LIFE_MS && reason !== 'hang' && reason !== 'stall'
    seat.shortLives = isShortLived ? seat.shortLives + 1 : 0
    if (!bulkhead.isClosing) {
      seat.starting = startAgain(bulkhead, seat, lane.id, reason, detail, sinceMs).finally(() => {
        seat.starting = null
      })
    }
    expiry.loseLane(lane, reason === 'hang' || reason === 'stall' ? 'hang' : 'crash', detail.message, sinceMs)
    bulkhead.feed()
    if (thread !== null) letGoMeanwhile(lane, thread, detail.plugin)
  }

  async function startAgain(
    bulkhead: Bulkhead,
    seat: Seat,
    lane: string,
    reason: RestartReason,
    { plugin, hookpoint, message }: { plugin?: string | undefined; hookpoint?: string | undefined; message: string },
    sinceMs: number,
  ): Promise<void> {
    // The first successor starts at once.
    if (seat.shortLives > 1) await pauseBefore(seat, seat.shortLives - 1)
    while (!bulkhead.isClosing) {
      try {
        await startSeat(bulkhead, seat)
        if (bulkhead.isClosing) return
        emit('laneReplaced', {
          bulkhead: bulkhead.name,
          lane,
          reason,
          plugin,
          hookpoint,
          tookMs: monotonicMs() - sinceMs,
          message,
        })
        return
      } catch (error) {
        if (bulkhead.isClosing) return
        seat.failedStarts += 1
        const failure =
          error instanceof HookringError
            ? error
            : new HookringError('PLUGIN_CRASHED', thrownText(error), { cause: error })
        if (failure.plugin !== undefined) options.onCrashBlamed(failure.plugin)
        emit('error', failure)
        await pauseBefore(seat, seat.failedStarts)
      }
    }
  }

  async function shutdown(bulkhead: Bulkhead): Promise<void> {
    await Promise.allSettled(bulkhead.seats.map((seat) => seat.thread?.link.shutdown(options.shutdownTimeoutMs + 500)))
  }

  function stop(bulkhead: Bulkhead): Promise<void> {
    // A second stop must not end the threads in which the first one still destroys.
    let stopping = stops.get(bulkhead)
    if (stopping === undefined) {
      stopping = end(bulkhead)
      stops.set(bulkhead, stopping)
    }
    return stopping
  }

  async function end(bulkhead: Bulkhead): Promise<void> {
    bulkhead.isClosing = true
    await Promise.all(
      bulkhead.seats.map(async (seat) => {
        seat.endPause?.()
        seat.memories.length = 0
        if (seat.starting !== null) await Promise.race([seat.starting, pause(options.shutdownTimeoutMs)])
        const { lane, thread } = seat
        if (lane === null || thread === null) return
        lane.state = 'draining'
        try {
          await Promise.race([thread.link.stop(2 * options.shutdownTimeoutMs + 500), thread.ended])
        } catch {
          // It does not answer: it is terminated below like one that does.
        }
        lane.drain(Number.POSITIVE_INFINITY)
        lane.state = 'dead'
        pump.forget(lane)
        watchdog.forget(lane)
        seat.lane = null
        seat.thread = null
        await letGo(lane, thread, undefined)
      }),
    )
    bulkhead.isClosed = true
  }

  return { start, replace, shutdown, stop, settled }
}

/** Waits before the nth try, until the bulkhead closes. An engine that waits here is open: it keeps the process alive. */
function pauseBefore(seat: Seat, tries: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(RETRY_MS * 2 ** (tries - 1), RETRY_MAX_MS))
    seat.endPause = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
