/**
 * One task after the other for each key, in the order in which they were added; tasks of different keys run beside each
 * other. A task that fails does not stop those behind it. What waits is the caller's to bound. One thread.
 */
export class KeyedQueue<Key> {
  readonly #last = new Map<Key, Promise<unknown>>()

  /** Keys whose tasks run or wait. */
  get size(): number {
    return this.#last.size
  }

  /** Runs the task when those before it of the same key have settled: at once, synchronously, if there are none. */
  run<Value>(key: Key, task: () => Promise<Value>): Promise<Value> {
    const before = this.#last.get(key)
    const done = before === undefined ? task() : before.then(task, task)
    this.#last.set(key, done)
    const leave = () => {
      if (this.#last.get(key) === done) this.#last.delete(key)
    }
    done.then(leave, leave)
    return done
  }
}
