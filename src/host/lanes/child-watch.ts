/**
 * What the host knows of the child process behind a lane, from messages of the lane's thread. No plugin code runs in that
 * thread. Host's thread only.
 */
import { within } from '../../primitives/within.js'

/** A child that has not booted by then never will. Booting takes some hundred milliseconds, or seconds on a slow machine. */
const CHILD_BOOT_MS = 10_000

export class ChildWatch {
  #pid: number | null = null
  #tellBooted: () => void = () => {}
  #tellGone: () => void = () => {}
  readonly #booted = new Promise<void>((resolve) => {
    this.#tellBooted = resolve
  })

  hear(message: unknown): void {
    const { childBooted, childGone } = (message ?? {}) as Record<string, unknown>
    if (childBooted !== undefined) {
      this.#pid = Number.isInteger(childBooted) ? (childBooted as number) : null
      this.#tellBooted()
    }
    if (childGone !== true) return
    this.#pid = null
    this.#tellGone()
  }

  /** Kills the child once it has booted, and waits up to `graceMs` for the lane to report its exit. */
  async end(graceMs: number): Promise<void> {
    await within(this.#booted, CHILD_BOOT_MS)
    if (this.#pid === null) return
    // The lane must live to reap the child: otherwise the dead process stays in the system's process table.
    const gone = new Promise<void>((resolve) => {
      this.#tellGone = resolve
    })
    try {
      process.kill(this.#pid, 'SIGKILL')
    } catch {
      // It is dead already; the lane is about to report it.
    }
    await within(gone, graceMs)
  }
}
