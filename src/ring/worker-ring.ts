/**
 * The worker's side of a lane's ring: claim, mark progress, complete, ring the host, park. The lane's thread only.
 */
import * as layout from './layout.js'

// V8 compiles a module's own constants in; imported ones it loads and checks at each use.
const {
  ANSWER_BYTES_WORD,
  AWAKE,
  CANCEL_SEQUENCE_WORD,
  CANCELLED_WORD,
  CLAIMED,
  CODE_WORD,
  COMPLETE_TAIL_WORD,
  COMPLETED,
  CONTROL_SEQUENCE_WORD,
  DEADLINE_WORD,
  DONE_MASK_WORD,
  HAS_CODE_WORD,
  HOST_PARK_WORD,
  LAYOUT_VERSION,
  LAYOUT_VERSION_WORD,
  LOADING_PLUGIN_WORD,
  MARK_AT_WORD,
  MESSAGE_BYTES,
  MESSAGE_BYTES_WORD,
  OUTCOME_CONTINUE,
  OUTCOME_PLUGIN_WORD,
  OUTCOME_SKIPPED,
  OUTCOME_WORD,
  PARKED,
  REPLACED_AREA_WORD,
  REPLACED_BY_WORD,
  REPLACED_BYTES_WORD,
  RUNNING_SLOT_WORD,
  SLOT_COUNT_WORD,
  SLOT_WORDS,
  STARTED_AT_WORD,
  STATE_MASK,
  STATE_WORD,
  SUBMIT_TAIL_WORD,
  SUBMITTED,
  WORKER_PARK_WORD,
} = layout

/** No submission is waiting. */
export const NOTHING = -1

export class WorkerRing {
  readonly buffer: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #queueMask: number
  readonly #submitRing: number
  readonly #completeRing: number
  readonly #slots: number
  readonly #messages: number
  #submitHead: number
  /** The submission tail as last read. It is read again only when everything up to it is claimed: the host writes that line. */
  #submitSeen: number
  #completeTail: number
  #controlSeen = 0
  #cancelSeen = 0

  constructor(buffer: SharedArrayBuffer) {
    const words = new Int32Array(buffer)
    if (words[LAYOUT_VERSION_WORD] !== LAYOUT_VERSION) {
      throw new RangeError(`ring layout ${words[LAYOUT_VERSION_WORD]}, expected ${LAYOUT_VERSION}`)
    }
    const slotCount = words[SLOT_COUNT_WORD] as number
    const places = layout.layoutOf({ slotCount, arenaBytes: 0 })
    this.buffer = buffer
    this.#words = words
    this.#doubles = new Float64Array(buffer)
    this.#queueMask = slotCount - 1
    this.#submitRing = places.submitRingWord
    this.#completeRing = places.completeRingWord
    this.#slots = places.slotsWord
    this.#messages = places.messagesByte
    // Both queues start at the same sequence, and there is no completion before this worker makes the first.
    this.#completeTail = words[COMPLETE_TAIL_WORD] as number
    this.#submitHead = this.#completeTail
    this.#submitSeen = this.#submitHead
  }

  hasSubmissions(): boolean {
    if (this.#submitSeen === this.#submitHead) this.#submitSeen = Atomics.load(this.#words, SUBMIT_TAIL_WORD)
    return this.#submitSeen !== this.#submitHead
  }

  /** Claims the next submission and returns its slot, or NOTHING. Recalled ones are completed as skipped on the way. */
  claim(): number {
    const words = this.#words
    while (this.hasSubmissions()) {
      const slot = words[this.#submitRing + (this.#submitHead & this.#queueMask)] as number
      this.#submitHead = (this.#submitHead + 1) | 0
      const at = this.#slots + slot * SLOT_WORDS + STATE_WORD
      // A plain load: the exchange fails if the word has changed since.
      const state = words[at] as number
      // complete() writes the slot's number here too. Writing it now fetches the line from the host's core while the hook runs.
      words[this.#completeRing + (this.#completeTail & this.#queueMask)] = slot
      if ((state & STATE_MASK) === SUBMITTED) {
        const claimed = (state & ~STATE_MASK) | CLAIMED
        if (Atomics.compareExchange(words, at, state, claimed) === state) return slot
      }
      this.setOutcome(slot, OUTCOME_SKIPPED, 0)
      this.complete(slot)
    }
    return NOTHING
  }

  word(slot: number, word: number): number {
    return this.#words[this.#slots + slot * SLOT_WORDS + word] as number
  }

  /** The byte at which the slot's message begins. */
  messageAt(slot: number): number {
    return this.#messages + slot * MESSAGE_BYTES
  }

  deadlineMs(slot: number): number {
    return this.#doubles[(this.#slots + slot * SLOT_WORDS + DEADLINE_WORD) >> 1] as number
  }

  /** Announces, before plugin code is entered, which slot runs and since when. */
  enter(slot: number, nowMs: number, isFirst: boolean): void {
    const at = this.#slots + slot * SLOT_WORDS
    if (isFirst) this.#doubles[(at + STARTED_AT_WORD) >> 1] = nowMs
    this.#doubles[(at + MARK_AT_WORD) >> 1] = nowMs
    Atomics.store(this.#words, RUNNING_SLOT_WORD, slot + 1)
  }

  /** No synchronous plugin code runs any more. Not needed between the hops of one batch. */
  leave(): void {
    Atomics.store(this.#words, RUNNING_SLOT_WORD, 0)
  }

  /** Announces which plugin is being loaded (-1: none). */
  loading(plugin: number): void {
    Atomics.store(this.#words, LOADING_PLUGIN_WORD, plugin + 1)
  }

  /** Commits that a plugin has finished, before the next one is entered. False: the host has taken the rest of the hop elsewhere. */
  goOn(slot: number, before: number, after: number): boolean {
    return (
      Atomics.compareExchange(this.#words, this.#slots + slot * SLOT_WORDS + DONE_MASK_WORD, before, after) === before
    )
  }

  /** Commits a replacement whose bytes are already in `area` (1 or 2). */
  replaced(slot: number, area: 1 | 2, bytes: number, plugin: number): void {
    const at = this.#slots + slot * SLOT_WORDS
    this.#words[at + REPLACED_BYTES_WORD + area - 1] = bytes
    this.#words[at + REPLACED_BY_WORD] = plugin
    Atomics.store(this.#words, at + REPLACED_AREA_WORD, area)
  }

  /** The outcome of nearly every call. The host reads no other outcome word then, so none is written. */
  setContinue(slot: number): void {
    this.#words[this.#slots + slot * SLOT_WORDS + OUTCOME_WORD] = OUTCOME_CONTINUE
  }

  setOutcome(slot: number, outcome: number, plugin: number): void {
    const at = this.#slots + slot * SLOT_WORDS
    this.#words[at + OUTCOME_WORD] = outcome
    this.#words[at + OUTCOME_PLUGIN_WORD] = plugin
    this.#words[at + HAS_CODE_WORD] = 0
    this.#words[at + MESSAGE_BYTES_WORD] = 0
    this.#words[at + ANSWER_BYTES_WORD] = 0
  }

  setMessageBytes(slot: number, bytes: number): void {
    this.#words[this.#slots + slot * SLOT_WORDS + MESSAGE_BYTES_WORD] = bytes
  }

  setAnswerBytes(slot: number, bytes: number): void {
    this.#words[this.#slots + slot * SLOT_WORDS + ANSWER_BYTES_WORD] = bytes
  }

  setCode(slot: number, code: number): void {
    const at = this.#slots + slot * SLOT_WORDS
    this.#words[at + CODE_WORD] = code
    this.#words[at + HAS_CODE_WORD] = 1
  }

  setEnded(slot: number, nowMs: number): void {
    this.#doubles[(this.#slots + slot * SLOT_WORDS + MARK_AT_WORD) >> 1] = nowMs
  }

  /** Gives the slot back, and wakes the host if it has said that it sleeps. */
  complete(slot: number): void {
    const words = this.#words
    const at = this.#slots + slot * SLOT_WORDS + STATE_WORD
    // A plain store: publishing the tail orders it before anything that the host reads.
    words[at] = ((words[at] as number) & ~STATE_MASK) | COMPLETED
    words[this.#completeRing + (this.#completeTail & this.#queueMask)] = slot
    this.#completeTail = (this.#completeTail + 1) | 0
    // Tail first, then the bell, and the bell at once: the next hook may never return.
    Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail)
    if (Atomics.load(words, HOST_PARK_WORD) !== PARKED) return
    if (Atomics.exchange(words, HOST_PARK_WORD, AWAKE) === PARKED) Atomics.notify(words, HOST_PARK_WORD)
  }

  /** How many control messages are announced and not yet acknowledged by `controlSeen`. */
  controlPending(): number {
    return (Atomics.load(this.#words, CONTROL_SEQUENCE_WORD) - this.#controlSeen) | 0
  }

  controlSeen(): void {
    this.#controlSeen = (this.#controlSeen + 1) | 0
  }

  /** Whether callers have given up calls since it was last asked. */
  takeCancellations(): boolean {
    const sequence = Atomics.load(this.#words, CANCEL_SEQUENCE_WORD)
    if (sequence === this.#cancelSeen) return false
    this.#cancelSeen = sequence
    return true
  }

  isCancelled(slot: number): boolean {
    return Atomics.load(this.#words, this.#slots + slot * SLOT_WORDS + CANCELLED_WORD) === 1
  }

  /** Looks for work up to `attempts` times without sleeping. Returns whether there is any. */
  lookAgain(attempts: number): boolean {
    for (let i = 0; i < attempts; i += 1) {
      if (this.hasSubmissions()) return true
    }
    return this.#hasReason(true)
  }

  /** Blocks the thread until the host rings; returns at once when there is something to do. */
  park(): void {
    if (!this.#advertise(true)) return
    Atomics.wait(this.#words, WORKER_PARK_WORD, PARKED)
    Atomics.store(this.#words, WORKER_PARK_WORD, AWAKE)
  }

  /**
   * Resolves when the host rings; the event loop goes on meanwhile. null: there is something to do already. `forCalls: false`
   * is for a lane that can take no more calls: submissions do not wake it.
   */
  parkAsync({ forCalls = true } = {}): Promise<unknown> | null {
    if (!this.#advertise(forCalls)) return null
    const sleep = Atomics.waitAsync(this.#words, WORKER_PARK_WORD, PARKED)
    return sleep.async ? sleep.value : null
  }

  /** Ends a parkAsync from the worker's own side. */
  unpark(): void {
    Atomics.store(this.#words, WORKER_PARK_WORD, AWAKE)
    Atomics.notify(this.#words, WORKER_PARK_WORD)
  }

  #advertise(forCalls: boolean): boolean {
    Atomics.store(this.#words, WORKER_PARK_WORD, PARKED)
    // Look again after storing PARKED: the host rings for no work that it published before it could see PARKED.
    if (!this.#hasReason(forCalls)) return true
    Atomics.store(this.#words, WORKER_PARK_WORD, AWAKE)
    return false
  }

  #hasReason(forCalls: boolean): boolean {
    const words = this.#words
    return (
      (forCalls && Atomics.load(words, SUBMIT_TAIL_WORD) !== this.#submitHead) ||
      Atomics.load(words, CONTROL_SEQUENCE_WORD) !== this.#controlSeen ||
      Atomics.load(words, CANCEL_SEQUENCE_WORD) !== this.#cancelSeen
    )
  }
}
