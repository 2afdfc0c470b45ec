/**
 * Ends the threads of lanes. A thread is told to terminate; if it has not exited after a while, it is counted as a zombie
 * and no longer waited for. Host's thread only.
 */
import type { Lane } from '../model/lane.js'
import type { Emit } from '../telemetry/events.js'
import type { LaneMemories } from './lane-memories.js'
import type { LaneThread } from './lane-threads.js'
import type { SupervisedSeat } from './seat.js'

export interface ThreadExitsOptions {
  readonly memories: LaneMemories
  /** How long a thread may take to exit, in milliseconds. */
  readonly terminateGraceMs: number
  readonly emit: Emit
  onZombie(change: 1 | -1): void
}

/** A lane that is given up, and the thread that ran it. */
export interface LeavingLane {
  readonly seat: SupervisedSeat
  readonly lane: Lane
  readonly thread: LaneThread
  /** The plugin to blame, if it is known. */
  readonly plugin: string | undefined
}

export class ThreadExits {
  readonly #options: ThreadExitsOptions
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #exits = new WeakMap<LaneThread, Promise<void>>()

  constructor(options: ThreadExitsOptions) {
    this.#options = options
  }

  /**
   * Terminates the thread. Resolves when it has exited or is a zombie. Called again, it returns the same promise. Never
   * rejects.
   */
  terminate(leaving: LeavingLane): Promise<void> {
    // A lane that hangs while it is being stopped is ended from two sides; it must be one zombie at most.
    let exit = this.#exits.get(leaving.thread)
    if (exit === undefined) {
      exit = this.#end(leaving)
      this.#exits.set(leaving.thread, exit)
    }
    return exit
  }

  /** Terminates the thread; only `settled` waits for it. */
  terminateMeanwhile(leaving: LeavingLane): void {
    this.#track(this.terminate(leaving))
  }

  /** Ends a thread that got no lane, and so has no plugin code. */
  discard(thread: LaneThread): void {
    this.#track(thread.terminate(this.#options.terminateGraceMs))
  }

  /** Resolves when every thread of `terminateMeanwhile` has exited or is a zombie. Never rejects. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  #track(exit: Promise<unknown>): void {
    const over = exit.finally(() => this.#underWay.delete(over))
    this.#underWay.add(over)
  }

  async #end({ seat, lane, thread, plugin }: LeavingLane): Promise<void> {
    const { memories, terminateGraceMs, emit, onZombie } = this.#options
    seat.leaving += 1
    const isGone = await thread.terminate(terminateGraceMs)
    seat.leaving -= 1
    if (isGone) {
      memories.keep(seat, lane)
      return
    }
    // A zombie may go on writing to its memory for ever.
    memories.prepare(seat)
    onZombie(1)
    emit('zombie', { bulkhead: seat.bulkhead.name, lane: lane.id, plugin, graceMs: terminateGraceMs })
    void thread.gone.then(() => onZombie(-1))
  }
}
