/**
 * The lane's end of the protocol with its child: calls out, verdicts in, and the watch over a child that does not come back.
 * Everything that the child sends is checked against what it was asked. The lane's thread only.
 */
import { HookringError } from '../../contracts/errors.js'
import { type ChildLoad, childLoadSchema, type LaneLoss } from '../../contracts/process.js'
import { ByteBudget } from '../../primitives/byte-budget.js'
import { monotonicMs } from '../../ring/clock.js'
import { Standstills } from '../../ring/standstill.js'
import { CallContext } from '../runtimes/call-context.js'
import type { EventBytes } from '../runtimes/runtime.js'
import { jsonIn, type Settlement, settlementIn, textIn } from './answers.js'
import type { ChildExit, ChildListener, ChildProcess } from './child-process.js'
import { FROM_CHILD, type Frame, HEAD_BYTES, mostBytesFromChild, TO_CHILD, writeHead } from './frames.js'
import { type LogTaker, takeLog } from './log-lines.js'
import { OutQueue } from './out-queue.js'

/** The hook that a call goes to. */
export interface CallTarget {
  readonly plugin: number
  readonly point: number
  readonly hookpoint: string
  readonly timeoutMs: number
}

export interface LinkOptions extends LogTaker {
  readonly child: ChildProcess
  readonly hangMs: number
  /** No replacement or answer is larger. */
  readonly maxReplyBytes: number
  /** Once. Calls that were under way then never settle: the host fails them. */
  onLost(loss: LaneLoss): void
}

/** A call that the child has not answered. */
interface Asked {
  readonly target: CallTarget
  readonly ctx: CallContext
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Question<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

/** The child was asked for a sign of life, on behalf of a call, and has not given it. */
interface Ping {
  readonly id: number
  readonly target: CallTarget
  readonly sinceMs: number
}

/** What a child may log: beyond it its next lines are taken later, and it drops and counts what it has no room for. */
const LOG_BUDGET = { bytesPerSecond: 512 * 1024, burstBytes: 1024 * 1024 }
/** The schema of a loss allows twice as many. */
const MAX_LOSS_CHARS = 4096

export class Link implements ChildListener {
  readonly #options: LinkOptions
  readonly #out: OutQueue
  readonly #logBudget = new ByteBudget(LOG_BUDGET, monotonicMs())
  // The child takes calls in order and answers each, or says that it waits: so it runs the first of these.
  readonly #asked = new Map<number, Asked>()
  /** Calls whose promise is pending in the child. */
  readonly #pending = new Map<number, Asked>()
  readonly #lives = new Map<number, Question<void>>()
  #loading: (Question<ChildLoad> & { readonly plugin: number }) | null = null
  #pinged: Ping | null = null
  #lastId = 0
  /** Since when the child runs the first call. */
  #firstSinceMs = 0
  #watch: NodeJS.Timeout | null = null
  #watchDueMs = 0
  #watchSetMs = 0
  readonly #standstills = new Standstills()
  #isLost = false
  #isEnding = false
  #isLogging = false

  constructor(options: LinkOptions) {
    this.#options = options
    const { child, maxReplyBytes } = options
    this.#out = new OutQueue(child.pipe)
    child.listen(this, (what) => mostBytesFromChild(what, maxReplyBytes))
  }

  load(plugin: number, order: Buffer): Promise<ChildLoad> {
    return this.#ask((question) => {
      this.#loading = { ...question, plugin }
      this.#out.send(TO_CHILD.load, { index: plugin }, order)
    })
  }

  call(target: CallTarget, event: EventBytes, ctx: CallContext): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // Whoever replaces the lane fails the call.
      if (this.#isLost) return
      const id = this.#nextId()
      this.#writeCall(id, target, event, ctx)
      this.#asked.set(id, { target, ctx, resolve, reject })
      if (this.#asked.size === 1) this.#begins(target)
    })
  }

  /** onShutdown or destroy of a plugin. Rejects with what it failed by, or when the child is gone. */
  endLife(plugin: number, which: 'shutdown' | 'destroy'): Promise<void> {
    return this.#ask((question) => {
      const id = this.#nextId()
      this.#lives.set(id, question)
      this.#out.send(TO_CHILD[which], { id, index: plugin })
    })
  }

  /** The lane ends: from here on nobody is told of its child's end. */
  async end(): Promise<void> {
    this.#isEnding = true
    await this.#options.child.end()
  }

  frame(frame: Frame): void {
    if (this.#isLost) return
    const settlement = settlementIn(frame)
    if (settlement === null) this.#take(frame)
    else this.#settle(frame.id, settlement)
  }

  broke(message: string): void {
    this.#lose({ reason: 'violation', message: `its process broke the protocol: ${message}` })
  }

  gone({ reason, message }: ChildExit): void {
    const [first] = this.#asked.values()
    const target = first?.target ?? (this.#pending.size === 1 ? [...this.#pending.values()][0]?.target : undefined)
    const blame = target === undefined ? {} : { plugin: target.plugin, hookpoint: target.hookpoint }
    this.#lose({ reason, message, ...blame })
  }

  said(line: string): void {
    this.#options.onLog({ level: 'error', message: line }, -1)
  }

  saidTooMuch(bytes: number): void {
    const message = `${bytes} bytes of its process's standard error stream were dropped`
    this.#options.onLog({ level: 'warn', message }, -1)
  }

  #nextId(): number {
    this.#lastId = (this.#lastId + 1) >>> 0
    return this.#lastId
  }

  #writeCall(id: number, target: CallTarget, event: EventBytes, ctx: CallContext): void {
    const { traceId } = ctx
    const traceBytes = traceId === undefined ? 0 : Buffer.byteLength(traceId)
    const bytes = HEAD_BYTES + traceBytes + event.bytes
    const out = this.#out
    const at = out.room(bytes)
    writeHead(out.bytes, at, {
      what: TO_CHILD.call,
      bytes,
      index: target.plugin,
      point: target.point,
      id,
      extra: traceBytes,
      deadlineMs: CallContext.deadlineMsOf(ctx),
    })
    if (traceId !== undefined) out.bytes.write(traceId, at + HEAD_BYTES, traceBytes, 'utf8')
    out.bytes.set(event.u8.subarray(event.at, event.at + event.bytes), at + HEAD_BYTES + traceBytes)
  }

  /** The child runs a call for the target, or will as soon as it has read of it. */
  #begins({ timeoutMs }: CallTarget): void {
    this.#firstSinceMs = monotonicMs()
    this.#watchFor(this.#firstSinceMs + timeoutMs + this.#options.hangMs)
  }

  #take(frame: Frame): void {
    switch (frame.what) {
      case FROM_CHILD.pends:
        this.#pends(frame.id)
        break
      case FROM_CHILD.log:
        this.#log(frame)
        break
      case FROM_CHILD.loaded:
        this.#loaded(frame)
        break
      case FROM_CHILD.done:
        this.#done(frame)
        break
      case FROM_CHILD.pong:
        if (this.#pinged?.id === frame.id) this.#pinged = null
        else this.broke('an answer to a ping that it was not sent')
        break
      case FROM_CHILD.leaves:
        this.gone({ reason: 'exit', message: `its process exited with code ${frame.extra}` })
        break
      default:
        this.broke(`a frame of kind ${frame.what}`)
    }
  }

  #settle(id: number, settlement: Settlement): void {
    const call = this.#asked.get(id) ?? this.#pending.get(id)
    if (call === undefined) {
      this.broke('an answer to a call that it was not asked')
      return
    }
    if (!this.#pending.delete(id)) this.#left(id)
    if ('error' in settlement) call.reject(settlement.error)
    else call.resolve(settlement.value)
  }

  /** The child goes on to the call behind it. */
  #left(id: number): void {
    this.#asked.delete(id)
    for (const { target } of this.#asked.values()) {
      this.#begins(target)
      break
    }
  }

  #pends(id: number): void {
    const call = this.#asked.get(id)
    if (call === undefined) {
      this.broke('it waits for a call that it was not asked')
      return
    }
    this.#left(id)
    this.#pending.set(id, call)
    const { signal } = call.ctx
    if (signal.aborted) this.#aborted(id, call)
    else signal.addEventListener('abort', () => this.#aborted(id, call), { once: true })
  }

  #aborted(id: number, { ctx, target }: Asked): void {
    if (this.#isLost || !this.#pending.has(id)) return
    const isDeadline = (ctx.signal.reason as Error).name === 'TimeoutError'
    this.#out.send(TO_CHILD.abort, { id, index: isDeadline ? 0 : 1 })
    // Its event loop should be free: if it is not, nothing else would tell.
    if (isDeadline && this.#pinged === null) this.#ping(target)
  }

  #ping(target: CallTarget): void {
    const ping = { id: this.#nextId(), target, sinceMs: monotonicMs() }
    this.#pinged = ping
    this.#out.send(TO_CHILD.ping, { id: ping.id })
    this.#watchFor(ping.sinceMs + this.#options.hangMs)
  }

  /** One timer, for the earliest moment at which there could be something to see. */
  #watchFor(dueMs: number): void {
    if (this.#watch !== null && this.#watchDueMs <= dueMs) return
    if (this.#watch !== null) clearTimeout(this.#watch)
    this.#watchDueMs = dueMs
    this.#watchSetMs = monotonicMs()
    this.#watch = setTimeout(() => this.#look(), Math.max(1, Math.ceil(dueMs - monotonicMs())))
  }

  #look(): void {
    this.#watch = null
    this.#standstills.notice(this.#watchSetMs, this.#watchDueMs, monotonicMs())
    if (this.#isLost || this.#isEnding) return
    const { hangMs } = this.#options
    const [first] = this.#asked.values()
    if (first !== undefined) this.#judge(first.target, this.#firstSinceMs, first.target.timeoutMs + hangMs)
    // While a call runs, the ping waits behind it in the pipe.
    else if (this.#pinged !== null) this.#judge(this.#pinged.target, this.#pinged.sinceMs, hangMs)
  }

  #judge({ plugin, hookpoint }: CallTarget, sinceMs: number, allowedMs: number): void {
    // Answers that came while this process stood still are in the pipe, and not read yet.
    const lostMs = this.#standstills.lostMsSince(sinceMs)
    const quietMs = monotonicMs() - sinceMs - lostMs
    if (quietMs < allowedMs) {
      this.#watchFor(sinceMs + allowedMs + lostMs)
      return
    }
    const message = `its process had not come back for ${quietMs.toFixed(0)} ms at ${hookpoint}`
    this.#lose({ reason: 'hang', plugin, hookpoint, message })
  }

  #loaded(frame: Frame): void {
    const answer = childLoadSchema.safeParse(jsonIn(frame))
    if (this.#loading?.plugin !== frame.index || !answer.success) {
      this.broke('what it says of a plugin was not asked, or is no answer')
      return
    }
    this.#loading.resolve(answer.data)
    this.#loading = null
  }

  #done(frame: Frame): void {
    const question = this.#lives.get(frame.id)
    if (question === undefined) {
      this.broke('an answer to what it was not asked')
      return
    }
    this.#lives.delete(frame.id)
    if (frame.index === 0) question.resolve()
    else question.reject(new HookringError('PLUGIN_FAILED', textIn(frame)))
  }

  #log(frame: Frame): void {
    if (this.#isLogging) {
      this.broke('it does not wait for its log lines to be taken')
      return
    }
    if (!takeLog(frame, this.#options)) {
      this.broke('its log lines are no lines, or are nested too deeply')
      return
    }
    this.#isLogging = true
    const taken = () => {
      this.#isLogging = false
      if (!this.#isLost) this.#out.send(TO_CHILD.logTaken, {})
    }
    // Not at once: a child that floods gets one batch a turn, and no more than its budget.
    const waitMs = this.#logBudget.take(frame.bytes, monotonicMs())
    if (waitMs === 0) setImmediate(taken)
    else setTimeout(taken, waitMs).unref()
  }

  #lose(loss: LaneLoss): void {
    if (this.#isLost) return
    this.#isLost = true
    this.#out.close()
    this.#options.child.kill()
    if (this.#watch !== null) clearTimeout(this.#watch)
    const message = loss.message.slice(0, MAX_LOSS_CHARS)
    const error = new HookringError('PLUGIN_CRASHED', message)
    this.#loading?.reject(error)
    this.#loading = null
    for (const { reject } of this.#lives.values()) reject(error)
    this.#lives.clear()
    if (!this.#isEnding) this.#options.onLost({ ...loss, message })
  }

  /** A question that is answered once, or by the loss of the child. */
  #ask<T>(put: (question: Question<T>) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#isLost) reject(new HookringError('PLUGIN_CRASHED', 'its process is gone'))
      else put({ resolve, reject })
    })
  }
}
