/**
 * The host's side of a lane's ring: submit, publish, recall, take completions, park. Host's thread only.
 *
 * Nothing read from the buffer is trusted. A queue distance or an index out of range is reported as a value (BROKEN); the
 * caller checks everything else against its own table of outstanding slots.
 */
import type { Geometry } from './layout.js'
import * as layout from './layout.js'

// V8 compiles a module's own constants in; imported ones it loads and checks at each use.
const {
  AWAKE,
  CANCEL_SEQUENCE_WORD,
  CANCELLED_WORD,
  CLAIMED,
  COMPLETE_TAIL_WORD,
  COMPLETED,
  CONTROL_SEQUENCE_WORD,
  DEADLINE_WORD,
  DONE_MASK_WORD,
  EVENT_BYTES_WORD,
  EXTENT_AT_WORD,
  FREE,
  HOOKPOINT_WORD,
  HOST_PARK_WORD,
  LAYOUT_VERSION,
  LAYOUT_VERSION_WORD,
  LOADING_PLUGIN_WORD,
  MASK_WORD,
  MESSAGE_BYTES,
  PARKED,
  RECALLED,
  REPLACED_AREA_WORD,
  REPLY_ROOM_WORD,
  RUNNING_SLOT_WORD,
  SLOT_COUNT_WORD,
  SLOT_WORDS,
  STATE_BITS,
  STATE_MASK,
  STATE_WORD,
  STOPPED_BIT,
  SUBMIT_TAIL_WORD,
  SUBMITTED,
  TRACE_BYTES_WORD,
  WORKER_PARK_WORD,
} = layout

/** What the host writes into a slot. Offsets are bytes from the buffer's start. */
export interface Submission {
  hookpoint: number
  mask: number
  extentAt: number
  eventBytes: number
  traceBytes: number
  replyRoom: number
}

/** No completion is waiting. */
export const NOTHING = -1
/** The completion queue's tail or an entry is out of range: the worker is not following the protocol. */
export const BROKEN = -2

export function allocateRing(geometry: Geometry): SharedArrayBuffer {
  return new SharedArrayBuffer(layout.layoutOf(geometry).totalBytes)
}

export class HostRing {
  readonly buffer: SharedArrayBuffer
  readonly slotCount: number
  /** First byte of the arena. */
  readonly arenaByte: number
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  readonly #queueMask: number
  readonly #submitRing: number
  readonly #completeRing: number
  readonly #slots: number
  readonly #messages: number
  /** The state word of each slot as the host last wrote it, or saw it when it released the slot. */
  readonly #states: Int32Array
  #submitTail: number
  /** The tail that the worker can see. */
  #published: number
  #completeHead: number
  /** The completion tail as last read. It is read again only when everything up to it is taken: the worker writes that line. */
  #completeSeen: number
  /** The slot that most likely comes back next. */
  #nextSlot = 0
  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: holds a value that is read only to fetch its cache line
  #fetched = 0

  /**
   * @param buffer a buffer of that geometry. It may have been another ring's whose worker is gone.
   * @param firstSequence where sequences and use counts start; tests start near 2^31 to see both wrap.
   */
  constructor(geometry: Geometry, buffer: SharedArrayBuffer, firstSequence = 0) {
    const places = layout.layoutOf(geometry)
    this.buffer = buffer
    this.#words = new Int32Array(buffer).fill(0, 0, places.messagesByte >> 2)
    this.#doubles = new Float64Array(this.buffer)
    this.slotCount = geometry.slotCount
    this.arenaByte = places.arenaByte
    this.#queueMask = geometry.slotCount - 1
    this.#submitRing = places.submitRingWord
    this.#completeRing = places.completeRingWord
    this.#slots = places.slotsWord
    this.#messages = places.messagesByte
    // The shift puts use counts near their own wrap when sequences start near 2^31.
    this.#states = new Int32Array(geometry.slotCount).fill(firstSequence << STATE_BITS)
    this.#submitTail = firstSequence | 0
    this.#published = firstSequence | 0
    this.#completeHead = firstSequence | 0
    this.#completeSeen = firstSequence | 0
    this.#words[SUBMIT_TAIL_WORD] = firstSequence
    this.#words[COMPLETE_TAIL_WORD] = firstSequence
    this.#words[SLOT_COUNT_WORD] = geometry.slotCount
    this.#words[LAYOUT_VERSION_WORD] = LAYOUT_VERSION
  }

  /** Fills a slot and queues it. The worker sees it at the next publish; by then its deadline and its bytes must be in place. */
  submit(slot: number, submission: Submission): void {
    const words = this.#words
    const at = this.#slots + slot * SLOT_WORDS
    words[at + HOOKPOINT_WORD] = submission.hookpoint
    words[at + MASK_WORD] = submission.mask
    words[at + EXTENT_AT_WORD] = submission.extentAt
    words[at + EVENT_BYTES_WORD] = submission.eventBytes
    words[at + TRACE_BYTES_WORD] = submission.traceBytes
    words[at + REPLY_ROOM_WORD] = submission.replyRoom
    words[at + CANCELLED_WORD] = 0
    words[at + DONE_MASK_WORD] = 0
    words[at + REPLACED_AREA_WORD] = 0
    const state = ((((this.#states[slot] as number) >>> STATE_BITS) + 1) << STATE_BITS) | SUBMITTED
    this.#states[slot] = state
    // A plain store: publishing the tail orders it before anything that the worker reads.
    words[at + STATE_WORD] = state
    words[this.#submitRing + (this.#submitTail & this.#queueMask)] = slot
    this.#submitTail = (this.#submitTail + 1) | 0
  }

  /** When the time of a submitted slot's first plugin ends (monotonic ms). */
  setDeadline(slot: number, deadlineMs: number): void {
    this.#doubles[(this.#slots + slot * SLOT_WORDS + DEADLINE_WORD) >> 1] = deadlineMs
  }

  /** Makes everything submitted visible, and rings the doorbell if the worker has said that it sleeps. Returns whether it rang. */
  publish(): boolean {
    // Tail first, then the bell: a worker that parks in between sees the tail when it looks once more before it sleeps.
    this.publishQuietly()
    return this.#wakeWorker()
  }

  /** Makes everything submitted visible, and rings nobody: a worker that sleeps hears of it at the next publish. */
  publishQuietly(): void {
    if (this.#published === this.#submitTail) return
    this.#published = this.#submitTail
    Atomics.store(this.#words, SUBMIT_TAIL_WORD, this.#submitTail)
  }

  /** Whether the worker has said that it sleeps. It then sees nothing until the doorbell rings. */
  isWorkerParked(): boolean {
    return Atomics.load(this.#words, WORKER_PARK_WORD) === PARKED
  }

  /** Tells the worker that a control message was sent over its port. */
  announceControl(): void {
    Atomics.add(this.#words, CONTROL_SEQUENCE_WORD, 1)
    this.#wakeWorker()
  }

  /** Tells the worker that the caller of a submitted call has given up. */
  cancel(slot: number): void {
    Atomics.store(this.#words, this.#slots + slot * SLOT_WORDS + CANCELLED_WORD, 1)
    this.stop(slot)
    Atomics.add(this.#words, CANCEL_SEQUENCE_WORD, 1)
    this.#wakeWorker()
  }

  /** Takes back a slot that the worker has not claimed. True: it will not run, and still comes back as a completion. */
  recall(slot: number): boolean {
    const submitted = this.#states[slot] as number
    const recalled = (submitted & ~STATE_MASK) | RECALLED
    const at = this.#slots + slot * SLOT_WORDS + STATE_WORD
    return Atomics.compareExchange(this.#words, at, submitted, recalled) === submitted
  }

  /** Whether the worker has claimed the slot's present use and has not completed it. */
  isClaimed(slot: number): boolean {
    const state = Atomics.load(this.#words, this.#slots + slot * SLOT_WORDS + STATE_WORD)
    return state === (((this.#states[slot] as number) & ~STATE_MASK) | CLAIMED)
  }

  /** The index of the next completed slot, NOTHING, or BROKEN. The index is in range; nothing else about it is checked. */
  takeCompletion(): number {
    if (this.#completeSeen === this.#completeHead) {
      const waiting = this.#lookForCompletions()
      if (waiting < 0) return waiting
    }
    const slot = this.#words[this.#completeRing + (this.#completeHead & this.#queueMask)] as number
    if (slot < 0 || slot >= this.slotCount) return BROKEN
    this.#nextSlot = (slot + 1) & this.#queueMask
    this.#completeHead = (this.#completeHead + 1) | 0
    return slot
  }

  /** Reads the tail: how many completions wait, NOTHING, or BROKEN. */
  #lookForCompletions(): number {
    const tail = Atomics.load(this.#words, COMPLETE_TAIL_WORD)
    const waiting = (tail - this.#completeHead) | 0
    if (waiting === 0) return NOTHING
    if (waiting < 0 || waiting > this.slotCount) return BROKEN
    this.#completeSeen = tail
    this.#fetchAhead()
    return waiting
  }

  /** Slots usually come back in turn. Reading the next one's line now overlaps its transfer with that of the queue's line. */
  #fetchAhead(): void {
    const words = this.#words
    const at = this.#slots + this.#nextSlot * SLOT_WORDS
    this.#fetched = (words[at + STATE_WORD] as number) ^ (words[at + DONE_MASK_WORD] as number)
  }

  hasCompletions(): boolean {
    return Atomics.load(this.#words, COMPLETE_TAIL_WORD) !== this.#completeHead
  }

  /** Looks for completions up to `attempts` times without sleeping. Returns whether there are any. */
  lookAgain(attempts: number): boolean {
    for (let i = 0; i < attempts; i += 1) {
      if (this.hasCompletions()) return true
    }
    return false
  }

  /** Frees a completed slot. False: the completion does not belong to the slot's present use. */
  release(slot: number): boolean {
    const at = this.#slots + slot * SLOT_WORDS + STATE_WORD
    const use = (this.#states[slot] as number) & ~STATE_MASK
    // A plain load: the atomic load of the tail that announced this completion came before it.
    if (this.#words[at] !== (use | COMPLETED)) return false
    this.#states[slot] = use | FREE
    return true
  }

  /** One word of a slot as it is now. Untrusted: read it once, then check. */
  slotWord(slot: number, word: number): number {
    return this.#words[this.#slots + slot * SLOT_WORDS + word] as number
  }

  /** One double of a slot as it is now. Untrusted. */
  slotDouble(slot: number, word: number): number {
    return this.#doubles[(this.#slots + slot * SLOT_WORDS + word) >> 1] as number
  }

  /** The byte at which the slot's message begins. */
  messageAt(slot: number): number {
    return this.#messages + slot * MESSAGE_BYTES
  }

  /** The plugins that, according to the worker, have finished with this slot's call. Untrusted. */
  doneMask(slot: number): number {
    return Atomics.load(this.#words, this.#slots + slot * SLOT_WORDS + DONE_MASK_WORD)
  }

  /** Keeps the worker from entering another plugin of the hop. False: it has got further than `doneMask`, and goes on. */
  stopAfter(slot: number, doneMask: number): boolean {
    const at = this.#slots + slot * SLOT_WORDS + DONE_MASK_WORD
    return Atomics.compareExchange(this.#words, at, doneMask, doneMask | STOPPED_BIT) === doneMask
  }

  /** Keeps the worker from entering another plugin of the hop, however far it has got. Returns its done mask. Untrusted. */
  stop(slot: number): number {
    return Atomics.or(this.#words, this.#slots + slot * SLOT_WORDS + DONE_MASK_WORD, STOPPED_BIT)
  }

  /** The slot whose hook runs synchronously now, or -1. Untrusted, but in range. */
  runningSlot(): number {
    const slot = Atomics.load(this.#words, RUNNING_SLOT_WORD) - 1
    return slot >= 0 && slot < this.slotCount ? slot : -1
  }

  /** Index of the plugin whose import or setup runs now, or -1. Untrusted. */
  loadingPlugin(): number {
    return Atomics.load(this.#words, LOADING_PLUGIN_WORD) - 1
  }

  /**
   * Announces that the host sleeps; the promise resolves when the worker rings, or at `unpark`. `null`: a completion has come
   * meanwhile, or the worker has rung already; look at once.
   */
  park(): Promise<unknown> | null {
    const words = this.#words
    Atomics.store(words, HOST_PARK_WORD, PARKED)
    // Look again after storing PARKED: the worker rings for no completion that it published before it could see PARKED.
    if (Atomics.load(words, COMPLETE_TAIL_WORD) !== this.#completeHead) {
      Atomics.store(words, HOST_PARK_WORD, AWAKE)
      return null
    }
    const sleep = Atomics.waitAsync(words, HOST_PARK_WORD, PARKED)
    return sleep.async ? sleep.value : null
  }

  /** Ends a park from the host's own side, so that no sleeper is left behind when the lane is given up. */
  unpark(): void {
    Atomics.store(this.#words, HOST_PARK_WORD, AWAKE)
    Atomics.notify(this.#words, HOST_PARK_WORD)
  }

  #wakeWorker(): boolean {
    const words = this.#words
    if (!this.isWorkerParked()) return false
    if (Atomics.exchange(words, WORKER_PARK_WORD, AWAKE) !== PARKED) return false
    Atomics.notify(words, WORKER_PARK_WORD)
    return true
  }
}
