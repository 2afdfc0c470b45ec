/**
 * A line: entries are asked about some at once, and settled one by one in the order in which they came. Knows nothing of
 * what stands in it; host's thread only.
 */
export interface LineOptions<Entry, Outcome> {
  /** Entries that are asked about at once. */
  readonly atOnce: number
  /** Must not reject. */
  ask(entry: Entry): Promise<Outcome>
  /** Must not throw. */
  settle(entry: Entry, outcome: Outcome): void
  /** Runs what settles an entry, each in its order. Default: at once. */
  schedule?(run: () => void): void
  /** The last entry has been settled. */
  onEmpty?(): void
}

interface Place<Entry, Outcome> {
  readonly entry: Entry
  outcome: { readonly value: Outcome } | null
  next: Place<Entry, Outcome> | null
}

export class Line<Entry, Outcome> {
  readonly #options: LineOptions<Entry, Outcome>
  #first: Place<Entry, Outcome> | null = null
  #last: Place<Entry, Outcome> | null = null
  #nextToAsk: Place<Entry, Outcome> | null = null
  #nextToSchedule: Place<Entry, Outcome> | null = null
  #length = 0
  #asked = 0
  #isSettling = false

  constructor(options: LineOptions<Entry, Outcome>) {
    this.#options = options
  }

  /** Entries that are not settled yet. */
  get length(): number {
    return this.#length
  }

  push(entry: Entry): void {
    const place: Place<Entry, Outcome> = { entry, outcome: null, next: null }
    if (this.#last === null) this.#first = place
    else this.#last.next = place
    this.#last = place
    this.#nextToAsk ??= place
    this.#nextToSchedule ??= place
    this.#length += 1
    this.#askMore()
  }

  #askMore(): void {
    while (this.#nextToAsk !== null && this.#asked < this.#options.atOnce) {
      const place = this.#nextToAsk
      this.#nextToAsk = place.next
      this.#asked += 1
      void this.#options.ask(place.entry).then((value) => {
        place.outcome = { value }
        this.#settleReady()
      })
    }
  }

  #settleReady(): void {
    // Settling may push, and may settle: the outer loop goes on with it.
    if (this.#isSettling) return
    const { schedule } = this.#options
    this.#isSettling = true
    while (this.#nextToSchedule?.outcome) {
      this.#nextToSchedule = this.#nextToSchedule.next
      if (schedule === undefined) this.#settleFirst()
      else schedule(() => this.#settleFirst())
    }
    this.#isSettling = false
    if (schedule === undefined) this.#settled()
  }

  #settleFirst(): void {
    const { entry, outcome, next } = this.#first!
    this.#first = next
    if (next === null) this.#last = null
    this.#length -= 1
    this.#asked -= 1
    this.#options.settle(entry, outcome!.value)
    if (this.#options.schedule !== undefined) this.#settled()
  }

  #settled(): void {
    this.#askMore()
    if (this.#length === 0) this.#options.onEmpty?.()
  }
}
