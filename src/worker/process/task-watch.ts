/**
 * Looks now and then how many threads a child has, where no limit of the system's counts them: RLIMIT_NPROC does not hold for
 * root, and there may be no cgroup. Best effort: threads that are started between two looks are there until the second one.
 * The lane's thread only.
 */
import { readFileSync } from 'node:fs'

export interface TaskWatchOptions {
  readonly maxTasks: number
  /** The process to look at. */
  pid(): number
  kill(): void
}

const EVERY_MS = 250

export class TaskWatch {
  readonly #options: TaskWatchOptions
  readonly #timer: NodeJS.Timeout
  #killedFor: string | undefined

  constructor(options: TaskWatchOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), EVERY_MS)
    this.#timer.unref()
  }

  /** @returns why it killed the process, if it did */
  end(): string | undefined {
    clearInterval(this.#timer)
    return this.#killedFor
  }

  #look(): void {
    const { maxTasks, pid, kill } = this.#options
    const tasks = tasksOf(pid())
    if (tasks <= maxTasks || this.#killedFor !== undefined) return
    this.#killedFor = `it had ${tasks} threads, and ${maxTasks} are the most`
    kill()
  }
}

function tasksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Behind the name, which may hold anything: the state is field 3, the number of threads field 20.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ', 18)[17])
  } catch {
    return 0
  }
}
