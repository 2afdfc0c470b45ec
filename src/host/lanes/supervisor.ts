/**
 * The lives of lanes: starts them in their seats, replaces them and ends them. Host's thread only.
 *
 *   seat: empty -> starting -> serving -> (hang | crash | violation | stall) -> starting (next generation) ...
 *                                 \-> draining -> stopped
 */
import type { HandOver, LaneSpec, LoadResult, Manifest, ServiceAnswer, ServiceCall } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import type { ReadBatch } from '../../contracts/log-batch.js'
import type { LaneLoss } from '../../contracts/process.js'
import { monotonicMs } from '../../ring/clock.js'
import type { Expiry } from '../calls/expiry.js'
import { blameOf } from '../calls/marks.js'
import type { Pump } from '../calls/pump.js'
import type { Bulkhead } from '../model/bulkhead.js'
import type { HookpointState } from '../model/hookpoint-state.js'
import { Lane, type LaneListener } from '../model/lane.js'
import type { Emit } from '../telemetry/events.js'
import type { RestartReason } from '../telemetry/recorders.js'
import { bootFailure, checkSame, crashedWhileLoading, loadFailure, startFailure } from './failed-starts.js'
import { LaneMemories } from './lane-memories.js'
import type { LaneThread, LaneThreads } from './lane-threads.js'
import { type SupervisedSeat, SupervisedSeats } from './seat.js'
import { ThreadExits } from './thread-exits.js'
import type { Watchdog } from './watchdog.js'

/** A lane that dies sooner than this, and has given nothing back, will probably die again. */
const SHORT_LIFE_MS = 1_000
/** The host waits this much longer than a lane gives its plugins. */
const ANSWER_SLACK_MS = 500

export interface SupervisorOptions {
  readonly threads: Pick<LaneThreads, 'take'>
  readonly hookpoints: readonly HookpointState[]
  readonly expiry: Pick<Expiry, 'loseLane'>
  readonly pump: Pick<Pump, 'forget'>
  readonly watchdog: Pick<Watchdog, 'forget'>
  readonly listener: LaneListener
  readonly emit: Emit
  readonly setupTimeoutMs: number
  readonly shutdownTimeoutMs: number
  readonly terminateGraceMs: number
  readonly maxEventBytes: number
  /** Called before a lane loads plugins from these URLs. Left out: the files are in place. */
  ensureSources?(urls: readonly string[]): Promise<void>
  onLog(bulkhead: Bulkhead, batch: ReadBatch): void | Promise<void>
  /** Answers the host services that plugins of the bulkhead's lanes call. */
  servicesFor(bulkhead: Bulkhead): (call: ServiceCall) => Promise<ServiceAnswer>
  /** A lane died while `plugin` ran, outside any call. */
  onCrashBlamed(plugin: string): void
  onZombie(change: 1 | -1): void
}

/** Why a lane is given up, in words for the operator. */
export interface Loss {
  readonly plugin?: string | undefined
  readonly hookpoint?: string | undefined
  readonly message: string
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #seats = new SupervisedSeats()
  readonly #memories: LaneMemories
  readonly #exits: ThreadExits
  readonly #stops = new WeakMap<Bulkhead, Promise<void>>()

  constructor(options: SupervisorOptions) {
    const { hookpoints, maxEventBytes, terminateGraceMs, emit } = options
    this.#options = options
    this.#memories = new LaneMemories(hookpoints, maxEventBytes)
    this.#exits = new ThreadExits({
      memories: this.#memories,
      terminateGraceMs,
      emit,
      onZombie: (change) => options.onZombie(change),
    })
  }

  /**
   * Starts every seat of a bulkhead.
   * @throws HookringError PLUGIN_..., LANE_BOOT_FAILED. None of its threads is left then.
   */
  async start(bulkhead: Bulkhead): Promise<readonly Manifest[]> {
    try {
      const results = await Promise.allSettled(this.#seats.of(bulkhead).map((seat) => this.#startSeat(seat)))
      const failed = results.find((result) => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      const manifests = results.map((result) => (result as PromiseFulfilledResult<readonly Manifest[]>).value)
      const [first] = manifests as [readonly Manifest[]]
      for (const other of manifests) checkSame(bulkhead, first, other)
      return first
    } catch (error) {
      await this.stop(bulkhead)
      throw error
    }
  }

  /** Gives the lane's generation up: its calls are moved or fail, and the next generation starts. */
  replace(lane: Lane, reason: RestartReason, loss: Loss): void {
    if (lane.state === 'dead') return
    const sinceMs = monotonicMs()
    const { bulkhead } = lane
    const seat = this.#seats.at(bulkhead, lane.seat)
    const { thread } = seat
    // What has come back counts, unless the worker broke the protocol.
    if (reason !== 'violation') lane.drain(Number.POSITIVE_INFINITY)
    this.#vacate(seat, lane)
    bulkhead.recorder?.recordRestart(reason)
    const isShortLived = lane.completions === 0 && sinceMs - lane.sinceMs < SHORT_LIFE_MS && !isStandstill(reason)
    seat.shortLives = isShortLived ? seat.shortLives + 1 : 0
    if (!bulkhead.isClosing) {
      const starting = this.#startAgain(seat, { lane: lane.id, reason, loss, sinceMs }).finally(() => {
        // A lane that died just as it began to serve may have a successor already.
        if (seat.starting === starting) seat.starting = null
      })
      seat.starting = starting
    }
    this.#options.expiry.loseLane(lane, howLost(reason), loss.message, sinceMs)
    bulkhead.feed()
    if (thread !== null) this.#exits.terminateMeanwhile({ seat, lane, thread, plugin: loss.plugin })
  }

  /** Runs onShutdown in every lane. Lanes log failures. */
  async shutdown(bulkhead: Bulkhead): Promise<void> {
    const timeoutMs = this.#options.shutdownTimeoutMs + ANSWER_SLACK_MS
    await Promise.allSettled(this.#seats.of(bulkhead).map(({ thread }) => thread?.link.shutdown(timeoutMs)))
  }

  /** Has every lane hand over what its plugins have elsewhere. False: some lane did not say that it has. Never rejects. */
  async handOver(bulkhead: Bulkhead, step: HandOver): Promise<boolean> {
    const timeoutMs = this.#options.shutdownTimeoutMs + ANSWER_SLACK_MS
    const links = this.#seats.of(bulkhead).map(({ thread }) => thread?.link)
    const told = await Promise.allSettled(links.map(async (link) => link?.handOver(step, timeoutMs)))
    return links.every((link) => link !== undefined) && told.every(({ status }) => status === 'fulfilled')
  }

  /** Runs destroy in every lane, then ends its threads. Called again, it returns the same promise. Never rejects. */
  stop(bulkhead: Bulkhead): Promise<void> {
    // A second stop must not end the threads while plugins are being destroyed in them.
    let stopping = this.#stops.get(bulkhead)
    if (stopping === undefined) {
      stopping = this.#end(bulkhead)
      this.#stops.set(bulkhead, stopping)
    }
    return stopping
  }

  /** Resolves when every thread of a replaced lane has exited or is a zombie. Never rejects. */
  settled(): Promise<void> {
    return this.#exits.settled()
  }

  /** Boots a thread, loads the plugins and puts the lane in its seat, where it serves. */
  async #startSeat(seat: SupervisedSeat): Promise<readonly Manifest[]> {
    const { bulkhead } = seat
    const thread = await this.#takeThread(seat)
    const lane = this.#laneIn(seat, thread)
    thread.link.onLog((batch) => this.#options.onLog(bulkhead, batch))
    thread.link.onServe(this.#options.servicesFor(bulkhead))
    try {
      const manifests = await this.#load(seat, lane, thread)
      checkWanted(seat)
      this.#serve(seat, lane, thread)
      return manifests
    } catch (error) {
      const plugin = error instanceof HookringError ? error.plugin : undefined
      this.#exits.terminateMeanwhile({ seat, lane, thread, plugin })
      throw error
    }
  }

  async #takeThread({ bulkhead, isReplacement }: SupervisedSeat): Promise<LaneThread> {
    try {
      return await this.#options.threads.take(bulkhead.options.profile, isReplacement)
    } catch (error) {
      throw bootFailure(bulkhead, error)
    }
  }

  /** @throws HookringError OPTIONS_INVALID when there is not enough memory, ENGINE_CLOSED. The thread is ended then. */
  #laneIn(seat: SupervisedSeat, thread: LaneThread): Lane {
    try {
      checkWanted(seat)
      return this.#makeLane(seat)
    } catch (error) {
      this.#exits.discard(thread)
      throw error
    }
  }

  #makeLane(seat: SupervisedSeat): Lane {
    return new Lane({
      id: seat.nextLaneId(),
      bulkhead: seat.bulkhead,
      seat: seat.seat,
      maxEventBytes: this.#options.maxEventBytes,
      listener: this.#options.listener,
      memory: this.#memories.take(seat),
    })
  }

  /** @throws HookringError */
  async #load(seat: SupervisedSeat, lane: Lane, thread: LaneThread): Promise<readonly Manifest[]> {
    const { bulkhead, id, ring } = lane
    if (bulkhead.spec === null) throw new Error('bulkhead without a spec')
    const spec: LaneSpec = { ...bulkhead.spec, lane: id, buffer: ring.buffer }
    const { setupTimeoutMs } = this.#options
    await this.#options.ensureSources?.(spec.plugins.map(({ url }) => url))
    checkWanted(seat)
    let result: LoadResult
    try {
      result = await Promise.race([
        thread.link.load(spec, setupTimeoutMs),
        thread.ended.then((crash) => {
          throw crashedWhileLoading(lane, crash)
        }),
      ])
    } catch (error) {
      throw loadFailure(lane, error, setupTimeoutMs)
    }
    if (result.ok) return result.manifests
    const cause = result.stack === undefined ? undefined : new Error(result.stack)
    throw new HookringError(result.code, result.message, { plugin: result.plugin, cause })
  }

  #serve(seat: SupervisedSeat, lane: Lane, thread: LaneThread): void {
    thread.link.onSent(() => lane.ring.announceControl())
    thread.link.onLost((loss) => this.#lost(lane, loss))
    seat.seat.lane = lane
    seat.thread = thread
    seat.failedStarts = 0
    lane.state = 'serving'
    lane.sinceMs = monotonicMs()
    void thread.ended.then((crash) => {
      if (lane.state === 'serving') this.#died(lane, crash)
    })
    seat.bulkhead.feed()
    this.#memories.prepareSoon(seat)
  }

  /** The lane's thread ended by itself. */
  #died(lane: Lane, crash: Error | null): void {
    const code = (crash as { code?: string } | null)?.code
    const reason: RestartReason =
      code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : crash?.message.startsWith('worker exited') ? 'exit' : 'crash'
    const blame = blameOf(lane, lane.ring.runningSlot(), monotonicMs())
    const sole = lane.bulkhead.plugins.length === 1 ? lane.bulkhead.plugins[0] : undefined
    const plugin = blame?.plugin?.name ?? sole?.name
    if (blame === null && plugin !== undefined) this.#options.onCrashBlamed(plugin)
    this.replace(lane, reason, {
      plugin,
      hookpoint: blame?.hookpoint,
      message: `its thread ended: ${crash?.message ?? 'it stopped by itself'}`,
    })
  }

  /** The lane's thread lives, but the process that runs its plugins does not. */
  #lost(lane: Lane, { reason, plugin: index, hookpoint, message }: LaneLoss): void {
    if (lane.state !== 'serving') return
    const { plugins } = lane.bulkhead
    const plugin = plugins[index ?? (plugins.length === 1 ? 0 : -1)]?.name
    if (plugin !== undefined && hookpoint === undefined) this.#options.onCrashBlamed(plugin)
    if (reason === 'violation') lane.bulkhead.recorder?.recordViolation('frame')
    this.replace(lane, reason, { plugin, hookpoint, message })
  }

  async #startAgain(seat: SupervisedSeat, { lane, reason, loss, sinceMs }: Replacement): Promise<void> {
    const { bulkhead } = seat
    const { emit, onCrashBlamed } = this.#options
    // The first successor starts at once.
    if (seat.shortLives > 1) await seat.pauseBefore(seat.shortLives - 1)
    while (!bulkhead.isClosing) {
      try {
        await this.#startSeat(seat)
        if (bulkhead.isClosing) return
        const { plugin, hookpoint, message } = loss
        const tookMs = monotonicMs() - sinceMs
        emit('laneReplaced', { bulkhead: bulkhead.name, lane, reason, plugin, hookpoint, tookMs, message })
        return
      } catch (error) {
        if (bulkhead.isClosing) return
        seat.failedStarts += 1
        const failure = startFailure(error)
        if (failure.plugin !== undefined) onCrashBlamed(failure.plugin)
        emit('error', failure)
        await seat.pauseBefore(seat.failedStarts)
      }
    }
  }

  async #end(bulkhead: Bulkhead): Promise<void> {
    bulkhead.isClosing = true
    await Promise.all(this.#seats.of(bulkhead).map((seat) => this.#endSeat(seat)))
    bulkhead.isClosed = true
  }

  async #endSeat(seat: SupervisedSeat): Promise<void> {
    const { shutdownTimeoutMs } = this.#options
    seat.endPause()
    seat.memories.length = 0
    if (seat.starting !== null) await Promise.race([seat.starting, pause(shutdownTimeoutMs)])
    seat.isEnded = true
    const { thread } = seat
    const { lane } = seat.seat
    if (lane === null || thread === null) return
    lane.state = 'draining'
    try {
      const { isSucceeded } = seat.bulkhead
      await Promise.race([thread.link.stop(2 * shutdownTimeoutMs + ANSWER_SLACK_MS, isSucceeded), thread.ended])
    } catch {
      // It does not answer: it is terminated below, like one that does.
    }
    lane.drain(Number.POSITIVE_INFINITY)
    this.#vacate(seat, lane)
    await this.#exits.terminate({ seat, lane, thread, plugin: undefined })
  }

  /** Takes the lane out of its seat: nobody gives it calls or listens to it any more. */
  #vacate(seat: SupervisedSeat, lane: Lane): void {
    lane.state = 'dead'
    seat.seat.lane = null
    seat.thread = null
    this.#options.pump.forget(lane)
    this.#options.watchdog.forget(lane)
  }
}

interface Replacement {
  /** Id of the lane that was lost. */
  readonly lane: string
  readonly reason: RestartReason
  readonly loss: Loss
  /** When the lane was given up (monotonic ms). */
  readonly sinceMs: number
}

/** The lane's thread runs on, but gives nothing back. */
function howLost(reason: RestartReason): 'hang' | 'crash' | 'violation' {
  if (isStandstill(reason)) return 'hang'
  return reason === 'violation' ? 'violation' : 'crash'
}

function isStandstill(reason: RestartReason): boolean {
  return reason === 'hang' || reason === 'stall'
}

/**
 * Ends a start that is no longer wanted: its plugins are not set up, and the lane does not serve.
 * @throws HookringError ENGINE_CLOSED
 */
function checkWanted({ bulkhead: { name }, isEnded }: SupervisedSeat): void {
  if (isEnded) throw new HookringError('ENGINE_CLOSED', `bulkhead ${name} was closed while a lane of it started`)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
