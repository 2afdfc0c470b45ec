/**
 * The messages of one open socket on their way to its handlers: asked about some at once, handed on one by one in the order in
 * which they came. One per socket; host's thread only.
 *
 *     take --> waiting --asked--> allowed: deliver
 *                            |--> refused, undecided: dropped, or the socket is closed and what waits is dropped
 *
 * While `maxWaiting` of them wait, the socket is to be paused, until half of them have gone.
 */
import type { ResolvedMessageOptions } from '../../contracts/http-options.js'
import { Line } from '../../primitives/line.js'
import { ALLOWED, GONE } from './hooks.js'
import type { Outcome } from './outcomes.js'
import type { HookedMessage } from './stages.js'

export interface MessageLineOptions {
  readonly bounds: ResolvedMessageOptions
  ask(message: HookedMessage, signal: AbortSignal): Promise<Outcome>
  /** A message is why the socket ends. */
  close(outcome: Outcome): void
  /** So many messages wait that no more should be read. */
  pause(): void
  resume(): void
}

interface Entry {
  /** Null: something else that is not to overtake what came before it, such as the end of the socket. */
  readonly message: HookedMessage | null
  deliver(): void
}

export class MessageLine {
  readonly #options: MessageLineOptions
  readonly #line: Line<Entry, Outcome>
  readonly #ending = new AbortController()
  #isPaused = false

  constructor(options: MessageLineOptions) {
    this.#options = options
    this.#line = new Line({
      atOnce: options.bounds.maxAtOnce,
      ask: ({ message }) => this.#ask(message),
      settle: (entry, outcome) => this.#settle(entry, outcome),
    })
  }

  /** Messages that wait for their verdicts, or for those before them. */
  get length(): number {
    return this.#line.length
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  take(message: HookedMessage, deliver: () => void): void {
    this.#line.push({ message, deliver })
    if (this.#isPaused || this.#line.length < this.#options.bounds.maxWaiting) return
    this.#isPaused = true
    this.#options.pause()
  }

  /** Runs it when the messages before it have gone: at once if there are none. */
  inTurn(deliver: () => void): void {
    if (this.#line.length === 0) deliver()
    else this.#line.push({ message: null, deliver })
  }

  /** Drops what waits; what runs is told. */
  end(): void {
    this.#ending.abort(ENDED)
  }

  #ask(message: HookedMessage | null): Promise<Outcome> {
    if (message === null) return Promise.resolve(ALLOWED)
    if (this.#ending.signal.aborted) return Promise.resolve(GONE)
    return this.#options.ask(message, this.#ending.signal)
  }

  #settle(entry: Entry, outcome: Outcome): void {
    this.#resume()
    if (entry.message !== null && this.#ending.signal.aborted) return
    if (outcome.kind === 'allowed') deliver(entry)
    else if (this.#closesOn(outcome)) {
      this.end()
      this.#options.close(outcome)
    }
  }

  #closesOn({ kind }: Outcome): boolean {
    const { onRefused, onUndecided } = this.#options.bounds
    return (kind === 'refused' && onRefused === 'close') || (kind === 'undecided' && onUndecided === 'close')
  }

  #resume(): void {
    if (!this.#isPaused || this.#line.length > this.#options.bounds.maxWaiting / 2) return
    this.#isPaused = false
    this.#options.resume()
  }
}

const ENDED = new Error('the socket has ended')

/** A handler's error is the server's own, as it would be without hooks. The line goes on. */
function deliver(entry: Entry): void {
  try {
    entry.deliver()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
