/**
 * Runs one hop: the plugins named by a slot's mask, in order, until one decides. Synchronous hooks run to the end in one
 * go; from the first promise on the hop continues when it settles, or is detached at its deadline. The lane's thread only.
 */
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { LaneSpec } from '../../contracts/control.js'
import { monotonicMs } from '../../ring/clock.js'
import * as layout from '../../ring/layout.js'
import type { Standstills } from '../../ring/standstill.js'
import type { WorkerRing } from '../../ring/worker-ring.js'
import { CallContext } from '../runtimes/call-context.js'
import { setRunning } from '../thread/attribution.js'
import type { ThrownErrors } from '../thread/thrown-errors.js'
import { Invoker, type PendingHook } from './invoke.js'
import type { LoadedPlugin } from './loader.js'
import { createRunPoint, type RunPoint } from './run-point.js'
import { eventAt, eventBytes, SlotVerdicts } from './slot-verdicts.js'

// A module's own constants are compiled in; another's are loaded and checked at each use.
const {
  EVENT_BYTES_WORD,
  EXTENT_AT_WORD,
  HOOKPOINT_WORD,
  MASK_WORD,
  OUTCOME_ABANDONED,
  OUTCOME_CONTINUE,
  OUTCOME_SKIPPED,
  TRACE_BYTES_WORD,
} = layout

export interface ChainOptions {
  readonly spec: Pick<LaneSpec, 'buffer' | 'hookpoints'>
  readonly plugins: readonly LoadedPlugin[]
  readonly ring: WorkerRing
  /** Told what hooks throw; null: somebody else is. */
  readonly thrown: ThrownErrors | null
  /** A promise has settled and its hop has gone on; whether the hop waits for another. */
  onSettled(isWaiting: boolean): void
}

export class Chain {
  readonly #ring: WorkerRing
  readonly #plugins: readonly LoadedPlugin[]
  readonly #memory: CodecMemory
  readonly #points: readonly (RunPoint | null)[]
  readonly #invoker: Invoker
  readonly #onSettled: ChainOptions['onSettled']

  constructor({ spec, plugins, ring, thrown, onSettled }: ChainOptions) {
    this.#ring = ring
    this.#plugins = plugins
    this.#memory = codecMemory(spec.buffer)
    this.#points = spec.hookpoints.map((point, at) =>
      plugins.some(({ hooks }) => hooks[at] !== undefined) ? createRunPoint(point) : null,
    )
    this.#onSettled = onSettled
    this.#invoker = new Invoker({
      points: this.#points,
      writer: new SlotVerdicts(ring, this.#memory),
      onThrown: ({ name }, point, error) => thrown?.tell(name, spec.hookpoints[point]?.name ?? '', error),
      onSettled: (hook, outcome) => this.#proceed(hook, outcome),
    })
  }

  /** Runs the slot's hop from its first plugin, entered at `nowMs`; when it came back from the last one. */
  run(slot: number, nowMs: number): number {
    return this.#runFrom(slot, this.#ring.word(slot, HOOKPOINT_WORD), 0, nowMs)
  }

  /** Hops that wait for a promise, detached ones whose promise has not settled included. */
  pendingCount(): number {
    return this.#invoker.pending.size
  }

  /** Whether any hook has ever returned a promise. */
  hasAsync(): boolean {
    return this.#invoker.hasAsync
  }

  /**
   * Detaches the pending hops that are past their deadline; the next deadline (monotonic ms), or null. What the process
   * stood still of their time they get again.
   */
  expire(nowMs: number, standstills: Pick<Standstills, 'lostMsSince'>): number | null {
    let next: number | null = null
    for (const hook of this.#invoker.pending) {
      if (hook.isDetached) continue
      const deadlineMs = hook.deadlineMs + standstills.lostMsSince(hook.enteredMs)
      if (deadlineMs <= nowMs) this.#detach(hook, nowMs)
      else if (next === null || deadlineMs < next) next = deadlineMs
    }
    return next
  }

  /** Aborts the signals of pending hops whose callers have given up. */
  cancelPending(): void {
    for (const { isDetached, call, ctx } of this.#invoker.pending) {
      if (!isDetached && this.#ring.isCancelled(call)) ctx.abort('caller')
    }
  }

  /** @param alreadyDone the plugins that have run, as a mask */
  #runFrom(slot: number, pointIndex: number, alreadyDone: number, enteredMs: number): number {
    const ring = this.#ring
    const mask = ring.word(slot, MASK_WORD)
    let done = alreadyDone
    let now = enteredMs
    for (let left = mask & ~done; left !== 0; left &= left - 1) {
      const plugin = this.#plugins[31 - Math.clz32(left & -left)]
      if (plugin === undefined || plugin.hooks[pointIndex] === undefined) continue
      const outcome = this.#enter(slot, pointIndex, plugin, now, done === 0)
      if (typeof outcome !== 'number') {
        outcome.done = done
        outcome.enteredMs = now
        return monotonicMs()
      }
      now = monotonicMs()
      // Before it goes on: the next plugin's time counts from here.
      ring.setEnded(slot, now)
      if (outcome !== OUTCOME_CONTINUE) {
        ring.complete(slot)
        return now
      }
      const before = done
      done |= 1 << plugin.index
      if (hasMore(mask, done) && !ring.goOn(slot, before, done)) {
        this.#skip(slot)
        return now
      }
    }
    ring.setContinue(slot)
    ring.complete(slot)
    return now
  }

  #enter(
    slot: number,
    pointIndex: number,
    plugin: LoadedPlugin,
    nowMs: number,
    isFirst: boolean,
  ): number | PendingHook {
    const ring = this.#ring
    const ownMs = nowMs + plugin.timeoutMs
    const ctx = new CallContext(plugin, isFirst ? Math.min(ring.deadlineMs(slot), ownMs) : ownMs, this.#traceIdOf(slot))
    const event = this.#eventFor(plugin, slot, pointIndex)
    ring.enter(slot, nowMs, isFirst)
    return this.#invoker.invoke(slot, plugin, pointIndex, event, ctx)
  }

  #eventFor({ takes }: LoadedPlugin, slot: number, pointIndex: number): unknown {
    const at = eventAt(this.#ring, slot)
    const bytes = eventBytes(this.#ring, slot)
    if (takes === 'bytes') return { u8: this.#memory.u8, at, bytes }
    return (this.#points[pointIndex] as RunPoint).reader.open(this.#memory, at, bytes)
  }

  #traceIdOf(slot: number): string | undefined {
    const bytes = this.#ring.word(slot, TRACE_BYTES_WORD)
    if (bytes === 0) return undefined
    const at = this.#ring.word(slot, EXTENT_AT_WORD) + this.#ring.word(slot, EVENT_BYTES_WORD)
    return this.#memory.buffer.toString('utf8', at, at + bytes)
  }

  /** A pending hook has settled: its hop goes on with the plugins behind it. */
  #proceed(hook: PendingHook, outcome: number | null): void {
    const others = this.pendingCount()
    if (outcome !== null) this.#goOn(hook, outcome)
    this.#onSettled(this.pendingCount() > others)
  }

  #goOn({ call: slot, plugin, point, done: before }: PendingHook, outcome: number): void {
    const ring = this.#ring
    const now = monotonicMs()
    const done = before | (1 << plugin.index)
    ring.setEnded(slot, now)
    if (outcome !== OUTCOME_CONTINUE) {
      ring.complete(slot)
    } else if (!hasMore(ring.word(slot, MASK_WORD), done) || ring.goOn(slot, before, done)) {
      this.#runFrom(slot, point, done, now)
      ring.leave()
      setRunning(undefined)
    } else {
      this.#skip(slot)
    }
  }

  /** The host has given this trip up: what is left of it is done elsewhere, if at all. */
  #skip(slot: number): void {
    this.#ring.setOutcome(slot, OUTCOME_SKIPPED, 0)
    this.#ring.complete(slot)
  }

  #detach(hook: PendingHook, nowMs: number): void {
    const ring = this.#ring
    hook.isDetached = true
    hook.ctx.abort('deadline')
    this.#invoker.close(hook)
    ring.setOutcome(hook.call, OUTCOME_ABANDONED, hook.plugin.index)
    ring.setEnded(hook.call, nowMs)
    ring.complete(hook.call)
  }
}

function hasMore(mask: number, done: number): boolean {
  return (mask & ~done) !== 0
}
