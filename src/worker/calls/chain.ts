/**
 * Runs one hop: the plugins named by a slot's mask, in order, until one decides. Synchronous hooks run to the end in one
 * go; from the first promise on the hop continues when it settles, or is let go of at its deadline. The lane's thread only.
 */

import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { LaneSpec } from '../../contracts/control.js'
import { isThenable } from '../../plugin/result.js'
import type { HookFunction } from '../../plugin/setup.js'
import { monotonicMs } from '../../ring/clock.js'
import * as layout from '../../ring/layout.js'
import type { WorkerRing } from '../../ring/worker-ring.js'
import { CallContext } from '../runtimes/call-context.js'
import type { EventBytes } from '../runtimes/runtime.js'
import { runAs, setRunning } from '../thread/attribution.js'
import type { LoadedPlugin } from './loader.js'
import { createOutcomes, eventAt, eventBytes } from './outcomes.js'
import { createRunPoint, type RunPoint } from './run-point.js'

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

/** A hop whose current hook has returned a promise. */
interface PendingHop {
  readonly slot: number
  readonly point: number
  readonly mask: number
  readonly done: number
  readonly plugin: LoadedPlugin
  readonly event: unknown
  readonly ctx: CallContext
  readonly deadlineMs: number
  isLetGo: boolean
}

export interface Chain {
  /** Runs the slot's hop from its first plugin, entered at `nowMs`; when it came back from the last one. */
  run(slot: number, nowMs: number): number
  /** Hops that wait for a promise, let-go ones whose promise has not settled included. */
  pendingCount(): number
  /** Whether any hook has ever returned a promise. */
  hasAsync(): boolean
  /** Lets go of the pending hops that are past their deadline; the next deadline (monotonic ms), or null. */
  expire(nowMs: number): number | null
  /** Aborts the signals of pending hops whose callers have given up. */
  cancelPending(): void
}

/** @param onSettled told when a pending hook's promise has settled, after its hop went on; whether it waits for another. */
export function createChain(
  spec: LaneSpec,
  plugins: readonly LoadedPlugin[],
  ring: WorkerRing,
  onSettled: (isWaiting: boolean) => void,
): Chain {
  const memory: CodecMemory = codecMemory(spec.buffer)
  const points = spec.hookpoints.map((point, at) =>
    plugins.some(({ hooks }) => hooks[at] !== undefined) ? createRunPoint(point) : null,
  )
  const { accept, fail } = createOutcomes(ring, memory)
  const pending = new Set<PendingHop>()
  // A hook that has returned a promise once is entered with its plugin's name on all that follows.
  const isAsync: boolean[][] = plugins.map(() => [])
  let hasAsync = false

  function runFrom(slot: number, pointIndex: number, mask: number, alreadyDone: number, enteredMs: number): number {
    const point = points[pointIndex] as RunPoint
    let done = alreadyDone
    let now = enteredMs
    for (let left = mask & ~done; left !== 0; left &= left - 1) {
      const index = 31 - Math.clz32(left & -left)
      const plugin = plugins[index]
      const hook = plugin?.hooks[pointIndex]
      if (plugin === undefined || hook === undefined) continue
      const isFirst = done === 0
      const deadlineMs = isFirst ? Math.min(ring.deadlineMs(slot), now + plugin.timeoutMs) : now + plugin.timeoutMs
      const event = plugin.takes === 'bytes' ? bytesOf(slot) : openEvent(slot, point)
      const ctx = new CallContext(plugin, deadlineMs, traceIdOf(slot))
      let outcome: number
      let isWaiting = false
      ring.enter(slot, now, isFirst)
      setRunning(plugin.name)
      try {
        const result = isAsync[index]?.[pointIndex] === true ? callAs(plugin.name, hook, event, ctx) : hook(event, ctx)
        if (isThenable(result)) {
          hasAsync = true
          ;(isAsync[index] as boolean[])[pointIndex] = true
          isWaiting = true
          wait({ slot, point: pointIndex, mask, done, plugin, event, ctx, deadlineMs, isLetGo: false }, result)
          return monotonicMs()
        }
        // What most hooks say, said once for all kinds of hookpoint.
        outcome = result === undefined ? OUTCOME_CONTINUE : accept(slot, point, index, result)
      } catch (error) {
        outcome = fail(slot, index, error)
      } finally {
        if (!isWaiting) point.reader.close(event)
      }
      now = monotonicMs()
      // Before it goes on: the next plugin's time counts from here.
      ring.setEnded(slot, now)
      if (outcome !== OUTCOME_CONTINUE) {
        ring.complete(slot)
        return now
      }
      const before = done
      done |= 1 << index
      if (hasMore(mask, done) && !ring.goOn(slot, before, done)) {
        skip(slot)
        return now
      }
    }
    ring.setContinue(slot)
    ring.complete(slot)
    return now
  }

  function wait(hop: PendingHop, promise: PromiseLike<unknown>): void {
    pending.add(hop)
    // Settles once, whatever a thenable of the plugin's own making does.
    Promise.resolve(promise).then(
      (result) => proceed(hop, () => accept(hop.slot, points[hop.point] as RunPoint, hop.plugin.index, result)),
      (error) => proceed(hop, () => fail(hop.slot, hop.plugin.index, error)),
    )
  }

  function proceed(hop: PendingHop, settle: () => number): void {
    pending.delete(hop)
    const others = pending.size
    if (!hop.isLetGo) {
      let outcome: number
      try {
        outcome = settle()
      } catch (error) {
        outcome = fail(hop.slot, hop.plugin.index, error)
      }
      ;(points[hop.point] as RunPoint).reader.close(hop.event)
      const done = hop.done | (1 << hop.plugin.index)
      ring.setEnded(hop.slot, monotonicMs())
      if (outcome !== OUTCOME_CONTINUE) {
        ring.complete(hop.slot)
      } else if (!hasMore(hop.mask, done) || ring.goOn(hop.slot, hop.done, done)) {
        runFrom(hop.slot, hop.point, hop.mask, done, monotonicMs())
        ring.leave()
        setRunning(undefined)
      } else {
        skip(hop.slot)
      }
    }
    onSettled(pending.size > others)
  }

  /** The host has given this trip up: what is left of it is done elsewhere, if at all. */
  function skip(slot: number): void {
    ring.setOutcome(slot, OUTCOME_SKIPPED, 0)
    ring.complete(slot)
  }

  function openEvent(slot: number, point: RunPoint): unknown {
    return point.reader.open(memory, eventAt(ring, slot), eventBytes(ring, slot))
  }

  function bytesOf(slot: number): EventBytes {
    return { u8: memory.u8, at: eventAt(ring, slot), bytes: eventBytes(ring, slot) }
  }

  function traceIdOf(slot: number): string | undefined {
    const bytes = ring.word(slot, TRACE_BYTES_WORD)
    if (bytes === 0) return undefined
    const at = ring.word(slot, EXTENT_AT_WORD) + ring.word(slot, EVENT_BYTES_WORD)
    return memory.buffer.toString('utf8', at, at + bytes)
  }

  return {
    run: (slot, nowMs) => runFrom(slot, ring.word(slot, HOOKPOINT_WORD), ring.word(slot, MASK_WORD), 0, nowMs),
    pendingCount: () => pending.size,
    hasAsync: () => hasAsync,
    expire(nowMs) {
      let next: number | null = null
      for (const hop of pending) {
        if (hop.isLetGo) continue
        if (hop.deadlineMs > nowMs) {
          if (next === null || hop.deadlineMs < next) next = hop.deadlineMs
          continue
        }
        letGo(hop, nowMs)
      }
      return next
    },
    cancelPending() {
      for (const hop of pending) if (!hop.isLetGo && ring.isCancelled(hop.slot)) hop.ctx.abort('caller')
    },
  }

  function letGo(hop: PendingHop, nowMs: number): void {
    hop.isLetGo = true
    hop.ctx.abort('deadline')
    ;(points[hop.point] as RunPoint).reader.close(hop.event)
    ring.setOutcome(hop.slot, OUTCOME_ABANDONED, hop.plugin.index)
    ring.setEnded(hop.slot, nowMs)
    ring.complete(hop.slot)
  }
}

/** Apart from the loop, so that the plain case makes no closure. */
function callAs(plugin: string, hook: HookFunction, event: unknown, ctx: CallContext): unknown {
  return runAs(plugin, () => hook(event, ctx))
}

function hasMore(mask: number, done: number): boolean {
  return (mask & ~done) !== 0
}
