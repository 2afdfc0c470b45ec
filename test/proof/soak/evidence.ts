/**
 * What plugins leave behind of what they did: one block of shared memory that belongs to the run, so that it is there
 * after a lane was killed. A mark is one atomic operation on one element, so no death can leave half a mark.
 *
 *   counters   what hooks noticed, and how often each act was reached
 *   acts       by call: what the run wants which plugin to do to it, written before the call is made
 *   order      by version of a partitioned plugin and key: the last sequence number that was seen
 *   across     the same by plugin, over all its versions
 *   starts     by plugin: what is to go wrong in its next setup
 *   marks      by call and plugin: how often a hook was entered (low half), and came back (high half)
 *
 * Calls are numbered; their places are used again after WINDOW of them, when the ledger has long closed the old ones.
 * Used by the run on the host's thread, and by its plugins in theirs.
 */
import { KEYS } from './events.js'

/** Minutes of traffic. */
export const WINDOW = 2 ** 18
/** Plugins of one engine that leave marks. */
export const COLUMNS = 8
/** Versions of partitioned plugins that are told apart at a time. */
export const ORDER_ROWS = 128
/** Plugins of all engines. */
export const PLUGINS = 32

/** What a plugin is told to do to one call. `none` and below the line: it decides as it always does, besides. */
export const ACTS = [
  'none',
  'throw',
  'hang',
  'spin',
  'exit',
  'heapOverflow',
  'badReply',
  'lateReply',
  // --
  'unhandledRejection',
  'uncaughtException',
  'memoryGrowth',
] as const
export type Act = (typeof ACTS)[number]

/** Acts after which the plugin's verdict is what it would have been. */
export const HARMLESS: ReadonlySet<Act> = new Set(['none', 'unhandledRejection', 'uncaughtException', 'memoryGrowth'])

const GARBLED_WORD = 0
const DISORDER_WORD = 1
const ACROSS_WORD = 2
const REACHED_WORD = 16
const HEAD_WORDS = 64
const WORDS = HEAD_WORDS + WINDOW + (ORDER_ROWS + PLUGINS) * KEYS + PLUGINS

/** One setup is slowed down by this many milliseconds and more; below it, so many setups fail. */
const SLOW_FROM = 100

interface Views {
  readonly counters: Int32Array
  readonly acts: Int32Array
  readonly order: Int32Array
  readonly across: Int32Array
  readonly starts: Int32Array
  readonly marks: Uint8Array
}

export function createEvidence(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * 4 + WINDOW * COLUMNS)
}

function viewsOf(buffer: SharedArrayBuffer): Views {
  let word = 0
  const words = (count: number): Int32Array => {
    const view = new Int32Array(buffer, word * 4, count)
    word += count
    return view
  }
  return {
    counters: words(HEAD_WORDS),
    acts: words(WINDOW),
    order: words(ORDER_ROWS * KEYS),
    across: words(PLUGINS * KEYS),
    starts: words(PLUGINS),
    marks: new Uint8Array(buffer, word * 4, WINDOW * COLUMNS),
  }
}

/** The run's side. */
export interface Evidence {
  readonly buffer: SharedArrayBuffer
  /** A call is about to be made; `act` is for the plugin in `column`. */
  open(id: number, column: number, act: Act): void
  /** How often the plugin's hook was entered for the call. */
  entered(id: number, column: number): number
  hasReturned(id: number, column: number): boolean
  /** A version of a partitioned plugin begins. */
  clearOrder(row: number): void
  /** The plugin's next setup takes so long, or so many of its next setups fail. */
  slowStart(plugin: number, ms: number): void
  failStarts(plugin: number, times: number): void
  clearStarts(plugin: number): void
  /** Events that were not what they should have been. */
  garbled(): number
  /** Observations that came before one of their key that was made earlier: in one version, and over all of them. */
  disordered(): { readonly within: number; readonly across: number }
  /** How often plugins came to do what they had been told. */
  reached(act: Act): number
}

export function openEvidence(buffer: SharedArrayBuffer): Evidence {
  const { counters, acts, order, starts, marks } = viewsOf(buffer)
  const placeOf = (id: number, column: number): number => (id % WINDOW) * COLUMNS + column
  return {
    buffer,
    open(id, column, act) {
      for (let at = 0; at < COLUMNS; at++) Atomics.store(marks, placeOf(id, at), 0)
      Atomics.store(acts, id % WINDOW, act === 'none' ? 0 : ((column + 1) << 8) | ACTS.indexOf(act))
    },
    entered: (id, column) => Atomics.load(marks, placeOf(id, column)) & 0xf,
    hasReturned: (id, column) => Atomics.load(marks, placeOf(id, column)) >> 4 > 0,
    clearOrder: (row) => void order.fill(0, row * KEYS, (row + 1) * KEYS),
    slowStart: (plugin, ms) => void Atomics.store(starts, plugin, Math.max(SLOW_FROM, ms)),
    failStarts: (plugin, times) => void Atomics.store(starts, plugin, Math.min(times, SLOW_FROM - 1)),
    clearStarts: (plugin) => void Atomics.store(starts, plugin, 0),
    garbled: () => Atomics.load(counters, GARBLED_WORD),
    disordered: () => ({
      within: Atomics.load(counters, DISORDER_WORD),
      across: Atomics.load(counters, ACROSS_WORD),
    }),
    reached: (act) => Atomics.load(counters, REACHED_WORD + ACTS.indexOf(act)),
  }
}

/** A plugin's side. */
export interface Witness {
  enter(id: number): void
  leave(id: number): void
  /** What this plugin is to do to the call. */
  actFor(id: number): Act
  garbled(): void
  /** An observation of a partitioned hook. */
  inOrder(key: number, seq: number): void
  /** What is to go wrong in this setup. */
  startUp(): { readonly kind: 'well' | 'fails' } | { readonly kind: 'slow'; readonly ms: number }
}

export interface Place {
  readonly buffer: SharedArrayBuffer
  readonly column: number
  readonly plugin: number
  readonly orderRow: number
}

export function createWitness({ buffer, column, plugin, orderRow }: Place): Witness {
  const { counters, acts, order, across, starts, marks } = viewsOf(buffer)
  const placeOf = (id: number): number => (id % WINDOW) * COLUMNS + column
  return {
    enter: (id) => void Atomics.add(marks, placeOf(id), 0x01),
    leave: (id) => void Atomics.add(marks, placeOf(id), 0x10),
    actFor(id) {
      const wanted = Atomics.load(acts, id % WINDOW)
      if (wanted >> 8 !== column + 1) return 'none'
      Atomics.add(counters, REACHED_WORD + (wanted & 0xff), 1)
      return ACTS[wanted & 0xff] ?? 'none'
    },
    garbled: () => void Atomics.add(counters, GARBLED_WORD, 1),
    inOrder(key, seq) {
      if (Atomics.exchange(order, orderRow * KEYS + key, seq) >= seq) Atomics.add(counters, DISORDER_WORD, 1)
      if (Atomics.exchange(across, plugin * KEYS + key, seq) >= seq) Atomics.add(counters, ACROSS_WORD, 1)
    },
    startUp() {
      const wanted = Atomics.load(starts, plugin)
      if (wanted === 0) return { kind: 'well' }
      if (wanted >= SLOW_FROM) {
        Atomics.store(starts, plugin, 0)
        return { kind: 'slow', ms: wanted }
      }
      Atomics.sub(starts, plugin, 1)
      return { kind: 'fails' }
    },
  }
}
