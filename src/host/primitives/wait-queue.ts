/**
 * A first-in, first-out queue whose entries may leave from the middle. An entry that has left stays in the list and is
 * skipped when its turn comes. The owner bounds its length. One thread.
 */

/** Entries that were taken are cut off when there are this many. */
const TRIM_AT = 256

/** What the queue needs of an entry. */
export interface Queued {
  /** The queue that it waits in; whoever pushes the entry sets it. null, or another queue: it has left this one. */
  waitsIn: object | null
}

export class WaitQueue<Entry extends Queued> {
  #entries: Entry[] = []
  #head = 0

  get isEmpty(): boolean {
    this.#skipGone()
    return this.#head >= this.#entries.length
  }

  push(entry: Entry): void {
    this.#entries.push(entry)
  }

  /** Takes the first entry that still waits, or returns null. */
  shift(): Entry | null {
    this.#skipGone()
    if (this.#head >= this.#entries.length) return null
    const entry = this.#entries[this.#head] as Entry
    this.#head += 1
    return entry
  }

  /** Puts an entry back at the head. */
  unshift(entry: Entry): void {
    if (this.#head > 0) {
      this.#head -= 1
      this.#entries[this.#head] = entry
    } else {
      this.#entries.unshift(entry)
    }
  }

  /** Takes all that still wait. */
  takeAll(): Entry[] {
    const waiting = this.#entries.slice(this.#head).filter((entry) => entry.waitsIn === this)
    this.#entries = []
    this.#head = 0
    return waiting
  }

  #skipGone(): void {
    const entries = this.#entries
    while (this.#head < entries.length && (entries[this.#head] as Entry).waitsIn !== this) this.#head += 1
    if (this.#head === entries.length) {
      if (this.#head > 0) this.#entries = []
      this.#head = 0
    } else if (this.#head >= TRIM_AT && this.#head * 2 > entries.length) {
      this.#entries = entries.slice(this.#head)
      this.#head = 0
    }
  }
}
