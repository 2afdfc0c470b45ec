/**
 * The standard error stream of a child: handed on in whole lines, so many bytes a second, and read no faster than the lane
 * cares to. What is dropped is counted. Lines that tell why a process ended are remembered, whatever came of them in the log.
 * The lane's thread only.
 */
import type { Readable } from 'node:stream'
import { ByteBudget } from '../../primitives/byte-budget.js'
import { monotonicMs } from '../../ring/clock.js'

/** What is handed on: a stack trace a second, and a burst of some hundred lines. */
const LOG_BUDGET = { bytesPerSecond: 16 * 1024, burstBytes: 64 * 1024 }
/** What is read. A child that writes more has to wait for its pipe. */
const READ_BUDGET = { bytesPerSecond: 512 * 1024, burstBytes: 256 * 1024 }
const MAX_LINE_BYTES = 1024
const NEWLINE = 0x0a

/** What a process said before it ended. */
export interface LastWords {
  /** V8's or Node.js's own line, clipped; empty: there was none. */
  readonly fatal: string
  readonly isMemory: boolean
  /** The first line that names an error; empty: there was none. */
  readonly error: string
  /** A tool of the sandbox that failed, and what it said. */
  readonly tool: { readonly name: string; readonly said: string } | null
}

export interface StderrListener {
  said(line: string): void
  saidTooMuch(bytes: number): void
}

export class ChildStderr {
  readonly #stream: Readable
  readonly #logBudget = new ByteBudget(LOG_BUDGET, monotonicMs())
  readonly #readBudget = new ByteBudget(READ_BUDGET, monotonicMs())
  #listener: StderrListener | null = null
  /** The beginning of a line whose end has not been read. */
  #line = Buffer.alloc(MAX_LINE_BYTES)
  #lineBytes = 0
  #dropped = 0
  #fatal = ''
  #isMemory = false
  #error = ''
  #tool: LastWords['tool'] = null
  #isEnding = false
  #pause: NodeJS.Timeout | null = null

  constructor(stream: Readable) {
    this.#stream = stream
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  /** Lines go to the listener from here on. */
  listen(listener: StderrListener): void {
    this.#listener = listener
  }

  /** The process has ended: what is left in the pipe is read at once, and it is not much. */
  drain(): void {
    this.#isEnding = true
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#stream.resume()
  }

  /** Everything has been read. */
  end(): LastWords {
    if (this.#lineBytes > 0) this.#lineEnds()
    this.#tellDropped()
    return { fatal: this.#fatal, isMemory: this.#isMemory, error: this.#error, tool: this.#tool }
  }

  #read(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const found = chunk.indexOf(NEWLINE, at)
      const end = found === -1 ? chunk.length : found
      this.#gather(chunk, at, end)
      if (found !== -1) this.#lineEnds()
      at = end + 1
    }
    const waitMs = this.#readBudget.take(chunk.length, monotonicMs())
    if (waitMs > 0 && !this.#isEnding) this.#rest(waitMs)
  }

  #rest(waitMs: number): void {
    this.#stream.pause()
    this.#pause = setTimeout(() => this.#stream.resume(), waitMs)
    this.#pause.unref()
  }

  #gather(chunk: Buffer, start: number, end: number): void {
    const kept = chunk.copy(this.#line, this.#lineBytes, start, end)
    this.#lineBytes += kept
    this.#dropped += end - start - kept
  }

  #lineEnds(): void {
    const bytes = this.#lineBytes
    this.#lineBytes = 0
    if (bytes === 0) return
    const line = this.#line.toString('utf8', 0, bytes)
    this.#remember(line)
    const nowMs = monotonicMs()
    if (this.#listener === null) return
    if (this.#logBudget.left(nowMs) < bytes) {
      this.#dropped += bytes
      return
    }
    this.#logBudget.take(bytes, nowMs)
    this.#tellDropped()
    this.#listener.said(line)
  }

  #tellDropped(): void {
    if (this.#dropped === 0 || this.#listener === null) return
    const dropped = this.#dropped
    this.#dropped = 0
    this.#listener.saidTooMuch(dropped)
  }

  #remember(line: string): void {
    if (this.#fatal === '' && /^(?:FATAL ERROR|# Fatal)/.test(line)) this.#fatal = line
    if (this.#error === '' && /^\w*Error\b/.test(line)) this.#error = line
    this.#isMemory ||= /out of memory|Allocation failed/i.test(line)
    const tool = this.#tool === null ? /^(bwrap|prlimit): (.*)/.exec(line) : null
    if (tool !== null) this.#tool = { name: tool[1] as string, said: tool[2] as string }
  }
}
