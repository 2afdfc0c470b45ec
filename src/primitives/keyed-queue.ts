/**
 * Runs the tasks of a key one after the other, in the order in which they were added; tasks of different keys run
 * concurrently. A task that fails does not stop those behind it. The caller bounds how many wait. One thread.
 */
export class KeyedQueue<Key> {
  readonly #last = new Map<Key, Promise<unknown>>()

  /** How many keys have a task that runs or waits. */
  get size(): number {
    return this.#last.size
  }

  /** Runs the task when the earlier ones of its key have settled; synchronously, now, if there are none. */
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
