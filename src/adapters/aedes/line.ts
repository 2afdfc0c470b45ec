/**
 * A line: entries are asked about some at once, and settled one by one in the order in which they came. Knows nothing of
 * what stands in it; host's thread only.
 */
export interface Line<Entry> {
  /** Entries that are not settled yet. */
  readonly length: number
  push(entry: Entry): void
}

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

export function createLine<Entry, Outcome>(options: LineOptions<Entry, Outcome>): Line<Entry> {
  const { atOnce, ask, settle, onEmpty, schedule } = options
  let first: Place<Entry, Outcome> | null = null
  let last: Place<Entry, Outcome> | null = null
  let nextToAsk: Place<Entry, Outcome> | null = null
  let nextToSchedule: Place<Entry, Outcome> | null = null
  let length = 0
  let asked = 0
  let isSettling = false

  function askMore(): void {
    while (nextToAsk !== null && asked < atOnce) {
      const place = nextToAsk
      nextToAsk = place.next
      asked += 1
      void ask(place.entry).then((value) => {
        place.outcome = { value }
        settleReady()
      })
    }
  }

  function settleReady(): void {
    // Settling may push, and may settle: the outer loop goes on with it.
    if (isSettling) return
    isSettling = true
    while (nextToSchedule?.outcome) {
      nextToSchedule = nextToSchedule.next
      if (schedule === undefined) settleFirst()
      else schedule(settleFirst)
    }
    isSettling = false
    if (schedule === undefined) settled()
  }

  function settleFirst(): void {
    const { entry, outcome, next } = first!
    first = next
    if (next === null) last = null
    length -= 1
    asked -= 1
    settle(entry, outcome!.value)
    if (schedule !== undefined) settled()
  }

  function settled(): void {
    askMore()
    if (length === 0) onEmpty?.()
  }

  return {
    get length() {
      return length
    },
    push(entry) {
      const place: Place<Entry, Outcome> = { entry, outcome: null, next: null }
      if (last === null) first = place
      else last.next = place
      last = place
      nextToAsk ??= place
      nextToSchedule ??= place
      length += 1
      askMore()
    },
  }
}
