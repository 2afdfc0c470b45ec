/**
 * The lane's end of the protocol with its child: calls out, verdicts in, and the watch over a child that does not come back.
 * Everything that the child sends is checked against what it was asked. The lane's thread only.
 */
import { HookringError } from '../../contracts/errors.js'
import { type ChildLoad, childLoadSchema, type LaneLoss } from '../../contracts/process.js'
import { monotonicMs } from '../../ring/clock.js'
import { CallContext } from '../runtimes/call-context.js'
import type { EventBytes } from '../runtimes/runtime.js'
import { jsonIn, type LogTaker, takeLog, textIn, type Verdict, verdictIn } from './answers.js'
import type { Child, Ending } from './child-process.js'
import { FROM_CHILD, type Frame, HEAD_BYTES, MAX_LOG_BYTES, TO_CHILD, writeHead } from './frames.js'
import { createOutQueue } from './out-queue.js'

/** What a call goes to. */
export interface Target {
  readonly plugin: number
  readonly point: number
  readonly hookpoint: string
  readonly timeoutMs: number
}

export interface LinkOptions extends LogTaker {
  readonly child: Child
  readonly hangMs: number
  /** No event or reply is larger. */
  readonly maxFrameBytes: number
  /** Once. Calls that were under way then never settle: the host fails them. */
  onLost(loss: LaneLoss): void
}

export interface Link {
  load(plugin: number, order: Buffer): Promise<ChildLoad>
  call(target: Target, event: EventBytes, ctx: CallContext): Promise<unknown>
  /** onShutdown or destroy of a plugin. Rejects with what it failed by, or when the child is gone. */
  endLife(plugin: number, which: 'shutdown' | 'destroy'): Promise<void>
  /** The lane ends: from here on its child's end is nothing to tell of. */
  end(): Promise<void>
}

/** A call that the child has not answered. */
interface Asked {
  readonly target: Target
  readonly ctx: CallContext
  readonly resolve: (verdict: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Question<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

/** The child was asked for a sign of life, on behalf of a call, and has not given it. */
interface Ping {
  readonly id: number
  readonly target: Target
  readonly sinceMs: number
}

export function createLink({ child, hangMs, maxFrameBytes, onLog, onDropped, onLost }: LinkOptions): Link {
  // The child takes calls in order and answers each, or says that it waits: so it runs the first of these.
  const asked = new Map<number, Asked>()
  /** Calls whose promise is pending in the child. */
  const pending = new Map<number, Asked>()
  const lives = new Map<number, Question<void>>()
  const out = createOutQueue(child.pipe)
  let loading: (Question<ChildLoad> & { readonly plugin: number }) | null = null
  let pinged: Ping | null = null
  let lastId = 0
  /** Since when the child runs the first call. */
  let firstSinceMs = 0
  let watch: NodeJS.Timeout | null = null
  let watchDueMs = 0
  let isLost = false
  let isEnding = false
  let isLogging = false

  const listener = {
    frame(frame: Frame) {
      if (!isLost) take(frame)
    },
    broke: violated,
    gone: ended,
    said: (line: string) => onLog({ level: 'error', message: line }, -1),
  }
  child.listen(listener, Math.max(maxFrameBytes, MAX_LOG_BYTES))

  function nextId(): number {
    lastId = (lastId + 1) >>> 0
    return lastId
  }

  function call(target: Target, event: EventBytes, ctx: CallContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // Whoever replaces the lane fails the call.
      if (isLost) return
      const id = nextId()
      const { traceId } = ctx
      const traceBytes = traceId === undefined ? 0 : Buffer.byteLength(traceId)
      const bytes = HEAD_BYTES + traceBytes + event.bytes
      const at = out.room(bytes)
      writeHead(out.bytes(), at, {
        what: TO_CHILD.call,
        bytes,
        index: target.plugin,
        point: target.point,
        id,
        extra: traceBytes,
        deadlineMs: CallContext.deadlineMsOf(ctx),
      })
      if (traceId !== undefined) out.bytes().write(traceId, at + HEAD_BYTES, traceBytes, 'utf8')
      out.bytes().set(event.u8.subarray(event.at, event.at + event.bytes), at + HEAD_BYTES + traceBytes)
      asked.set(id, { target, ctx, resolve, reject })
      if (asked.size === 1) begins(target)
    })
  }

  /** The child runs a call for the target, or will as soon as it has read of it. */
  function begins({ timeoutMs }: Target): void {
    firstSinceMs = monotonicMs()
    watchFor(firstSinceMs + timeoutMs + hangMs)
  }

  function take(frame: Frame): void {
    const verdict = verdictIn(frame)
    if (verdict !== null) {
      settle(frame.id, verdict)
      return
    }
    switch (frame.what) {
      case FROM_CHILD.pends:
        pends(frame.id)
        break
      case FROM_CHILD.log:
        log(frame)
        break
      case FROM_CHILD.loaded:
        loaded(frame)
        break
      case FROM_CHILD.done:
        done(frame)
        break
      case FROM_CHILD.pong:
        if (pinged?.id === frame.id) pinged = null
        else violated('an answer to a ping that it was not sent')
        break
      case FROM_CHILD.leaves:
        ended({ reason: 'exit', message: `its process exited with code ${frame.extra}` })
        break
      default:
        violated(`a frame of kind ${frame.what}`)
    }
  }

  function settle(id: number, verdict: Verdict): void {
    const call = asked.get(id) ?? pending.get(id)
    if (call === undefined) {
      violated('an answer to a call that it was not asked')
      return
    }
    if (!pending.delete(id)) left(id)
    if ('error' in verdict) call.reject(verdict.error)
    else call.resolve(verdict.value)
  }

  /** The child goes on to the call behind it. */
  function left(id: number): void {
    asked.delete(id)
    for (const { target } of asked.values()) {
      begins(target)
      break
    }
  }

  function pends(id: number): void {
    const call = asked.get(id)
    if (call === undefined) {
      violated('it waits for a call that it was not asked')
      return
    }
    left(id)
    pending.set(id, call)
    const { signal } = call.ctx
    const aborted = () => {
      if (isLost || !pending.has(id)) return
      const isDeadline = (signal.reason as Error).name === 'TimeoutError'
      out.send(TO_CHILD.abort, { id, index: isDeadline ? 0 : 1 })
      // Its event loop should be free: if it is not, nothing else would tell.
      if (isDeadline && pinged === null) ping(call.target)
    }
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
  }

  function ping(target: Target): void {
    pinged = { id: nextId(), target, sinceMs: monotonicMs() }
    out.send(TO_CHILD.ping, { id: pinged.id })
    watchFor(pinged.sinceMs + hangMs)
  }

  /** One timer, for the earliest moment at which there could be something to see. */
  function watchFor(dueMs: number): void {
    if (watch !== null && watchDueMs <= dueMs) return
    if (watch !== null) clearTimeout(watch)
    watchDueMs = dueMs
    watch = setTimeout(look, Math.max(1, Math.ceil(dueMs - monotonicMs())))
  }

  function look(): void {
    watch = null
    if (isLost || isEnding) return
    const [first] = asked.values()
    if (first !== undefined) judge(first.target, firstSinceMs, first.target.timeoutMs + hangMs)
    // While a call runs, the ping waits behind it in the pipe.
    else if (pinged !== null) judge(pinged.target, pinged.sinceMs, hangMs)
  }

  function judge({ plugin, hookpoint }: Target, sinceMs: number, allowedMs: number): void {
    const quietMs = monotonicMs() - sinceMs
    if (quietMs < allowedMs) {
      watchFor(sinceMs + allowedMs)
      return
    }
    const message = `its process had not come back for ${quietMs.toFixed(0)} ms at ${hookpoint}`
    lose({ reason: 'hang', plugin, hookpoint, message })
  }

  function loaded(frame: Frame): void {
    const answer = childLoadSchema.safeParse(jsonIn(frame))
    if (loading?.plugin !== frame.index || !answer.success) {
      violated('what it says of a plugin was not asked, or is no answer')
      return
    }
    loading.resolve(answer.data)
    loading = null
  }

  function done(frame: Frame): void {
    const question = lives.get(frame.id)
    if (question === undefined) {
      violated('an answer to what it was not asked')
      return
    }
    lives.delete(frame.id)
    if (frame.index === 0) question.resolve()
    else question.reject(new HookringError('PLUGIN_FAILED', textIn(frame)))
  }

  function log(frame: Frame): void {
    if (isLogging || frame.bytes > MAX_LOG_BYTES) {
      violated('it does not wait for its log lines to be taken')
      return
    }
    isLogging = true
    takeLog(frame, { onLog, onDropped })
    // Not at once: a child that floods is held to a batch per turn.
    setImmediate(() => {
      isLogging = false
      if (!isLost) out.send(TO_CHILD.logTaken, {})
    })
  }

  function violated(message: string): void {
    lose({ reason: 'violation', message: `its process broke the protocol: ${message}` })
  }

  function ended({ reason, message }: Ending): void {
    const [first] = asked.values()
    const target = first?.target ?? (pending.size === 1 ? [...pending.values()][0]?.target : undefined)
    const blame = target === undefined ? {} : { plugin: target.plugin, hookpoint: target.hookpoint }
    lose({ reason, message, ...blame })
  }

  function lose(loss: LaneLoss): void {
    if (isLost) return
    isLost = true
    out.close()
    child.kill()
    if (watch !== null) clearTimeout(watch)
    const error = new HookringError('PLUGIN_CRASHED', loss.message)
    loading?.reject(error)
    loading = null
    for (const { reject } of lives.values()) reject(error)
    lives.clear()
    if (!isEnding) onLost(loss)
  }

  /** A question that is answered once, or the loss of the child. */
  function ask<T>(put: (question: Question<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (isLost) reject(new HookringError('PLUGIN_CRASHED', 'its process is gone'))
      else put({ resolve, reject })
    })
  }

  return {
    load: (plugin, order) =>
      ask((question) => {
        loading = { ...question, plugin }
        out.send(TO_CHILD.load, { index: plugin }, order)
      }),
    call,
    endLife: (plugin, which) =>
      ask((question) => {
        const id = nextId()
        lives.set(id, question)
        out.send(TO_CHILD[which], { id, index: plugin })
      }),
    async end() {
      isEnding = true
      await child.end()
    },
  }
}
