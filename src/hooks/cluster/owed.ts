/**
 * Writes that nobody waits for, of things that have happened: those that fail while Redis is away are made up for, in their
 * order, when it is back. A bounded number; what is given up is counted and said. In a lane.
 */
import type { PluginLogger } from '../../plugin/index.js'

export interface Owed {
  /** Never rejects. */
  write(task: () => Promise<unknown>): Promise<void>
  /** Makes up for what has failed, as far as Redis is there. */
  pay(): Promise<void>
  close(): void
}

const MAX_OWED = 10_000
const RETRY_MS = 500

export function createOwed({ log, isThere }: { log: PluginLogger; isThere(): boolean }): Owed {
  const tasks: (() => Promise<unknown>)[] = []
  let timer: NodeJS.Timeout | undefined
  let isPaying = false
  let givenUp = 0

  function giveUp(error: unknown): void {
    givenUp += 1
    // Once for each time that Redis was away.
    if (givenUp === 1) log.warn('some of what has happened is not in Redis', { error: String(error) })
  }

  function owe(task: () => Promise<unknown>): void {
    tasks.push(task)
    timer ??= setTimeout(pay, RETRY_MS)
    if (tasks.length <= MAX_OWED) return
    tasks.shift()
    giveUp(`more than ${MAX_OWED} writes wait for it`)
  }

  async function pay(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    if (isPaying) return
    isPaying = true
    for (let task = tasks[0]; task !== undefined; task = tasks[0]) {
      try {
        await task()
      } catch (error) {
        if (!isThere()) break
        giveUp(error)
      }
      if (tasks[0] === task) tasks.shift()
    }
    isPaying = false
    if (tasks.length > 0) timer ??= setTimeout(pay, RETRY_MS)
    else givenUp = 0
  }

  return {
    async write(task) {
      // What came before must not be written after it.
      if (tasks.length > 0) return owe(task)
      try {
        await task()
      } catch {
        owe(task)
      }
    },
    pay,
    close: () => clearTimeout(timer),
  }
}
