/**
 * Writes that nobody waits for, of things that have happened: those that fail while Redis is away are made up for, in their
 * order, when it is back. A bounded number; what is given up is counted and said. In a lane.
 */
import type { PluginLogger } from '../../plugin/index.js'

type Task = () => Promise<unknown>

const MAX_OWED = 10_000
const RETRY_MS = 500

export interface OwedOptions {
  readonly log: PluginLogger
  /** Whether Redis takes commands. */
  isThere(): boolean
}

export class OwedWrites {
  readonly #log: PluginLogger
  readonly #isThere: () => boolean
  readonly #tasks: Task[] = []
  #timer: NodeJS.Timeout | undefined
  #isPaying = false
  #isClosed = false
  #givenUp = 0

  constructor({ log, isThere }: OwedOptions) {
    this.#log = log
    this.#isThere = isThere
  }

  /** Never rejects. */
  async write(task: Task): Promise<void> {
    // What came before must not be written after it.
    if (this.#tasks.length > 0) return this.#owe(task)
    try {
      await task()
    } catch {
      this.#owe(task)
    }
  }

  /** Makes up for what has failed, as far as Redis is there. */
  async pay(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#isPaying) return
    this.#isPaying = true
    for (let task = this.#tasks[0]; task !== undefined; task = this.#tasks[0]) {
      try {
        await task()
      } catch (error) {
        if (!this.#isThere()) break
        this.#giveUp(error)
      }
      if (this.#tasks[0] === task) this.#tasks.shift()
    }
    this.#isPaying = false
    if (this.#tasks.length > 0) this.#payLater()
    else this.#givenUp = 0
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #owe(task: Task): void {
    this.#tasks.push(task)
    this.#payLater()
    if (this.#tasks.length <= MAX_OWED) return
    this.#tasks.shift()
    this.#giveUp(`more than ${MAX_OWED} writes wait for it`)
  }

  #payLater(): void {
    if (!this.#isClosed) this.#timer ??= setTimeout(() => void this.pay(), RETRY_MS)
  }

  #giveUp(error: unknown): void {
    this.#givenUp += 1
    // Once for each time that Redis was away.
    if (this.#givenUp === 1) this.#log.warn('some of what has happened is not in Redis', { error: String(error) })
  }
}
