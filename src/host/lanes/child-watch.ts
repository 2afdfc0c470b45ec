/**
 * What the host knows of the child process behind a lane, by what the lane's thread says. Nothing of a plugin's runs in
 * such a thread. Host's thread only.
 */
import { within } from '../../primitives/within.js'

/** A child that has not booted by then never will. Booting takes tenths of a second, or seconds on a slow machine. */
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

  /** Kills the child once it has booted, and waits up to `graceMs` for the lane to take note. */
  async end(graceMs: number): Promise<void> {
    await within(this.#booted, CHILD_BOOT_MS)
    if (this.#pid === null) return
    // The lane must live to see it exit: otherwise the dead process stays in the system's tables.
    const gone = new Promise<void>((resolve) => {
      this.#tellGone = resolve
    })
    try {
      process.kill(this.#pid, 'SIGKILL')
    } catch {
      // It is dead already; the lane is yet to say so.
    }
    await within(gone, graceMs)
  }
}
