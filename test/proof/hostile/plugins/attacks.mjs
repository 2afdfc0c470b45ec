/**
 * The attacks of attack-list.mjs, carried out. Each is a function that is called again and again for as long as the lane
 * lives, with whatever is outstanding; it may throw, since by then its own memory may be nonsense.
 */
import { Worker } from 'node:worker_threads'
import * as layout from '../../../../dist/ring/layout.js'

const { store, load, exchange } = Atomics
/** One in so many completions breaks the protocol where an attack is to go on for a while. */
const RARELY = 1 / 3_000
/** How long bytes are flipped behind a completion, milliseconds. */
const FLIP_MS = 0.03

/** Completes what is outstanding, in any order. `spoil` is given each call after it was filled in and before it is announced. */
function completeAll(ring, spoil = () => {}) {
  for (const call of shuffled(ring.take(), ring.random)) {
    ring.forge(call)
    spoil(call)
    ring.complete(call)
  }
  ring.publish()
}

function shuffled(list, random) {
  for (let index = list.length - 1; index > 0; index -= 1) {
    const other = random.below(index + 1)
    ;[list[index], list[other]] = [list[other], list[index]]
  }
  return list
}

/** What a lane writes into a slot, besides its state. */
const OWN_WORDS = [
  layout.OUTCOME_WORD,
  layout.OUTCOME_PLUGIN_WORD,
  layout.MESSAGE_BYTES_WORD,
  layout.ANSWER_BYTES_WORD,
  layout.CODE_WORD,
  layout.HAS_CODE_WORD,
  layout.REPLACED_AREA_WORD,
  layout.REPLACED_BYTES_WORD,
  layout.REPLACED_BYTES_WORD + 1,
  layout.REPLACED_BY_WORD,
  layout.STARTED_AT_WORD,
  layout.STARTED_AT_WORD + 1,
  layout.MARK_AT_WORD,
  layout.MARK_AT_WORD + 1,
]
const TELLING = [-1, 0, 1, 2, 3, 7, 30, 31, 32, 99, 384, 385, 4_096, 65_536, 0x7fff_ffff, -0x8000_0000]

const oddWord = (random) => (random.chance(0.7) ? random.pick(TELLING) : random.word())

function breakRange({ words, bytes, random, slotCount, announce, skip }, call) {
  switch (random.below(5)) {
    case 0:
      skip(random.pick([1, 2, slotCount, slotCount + 1, -1, -2, 5_000, 0x7fff_ffff]))
      return
    case 1:
      announce(random.pick([slotCount, slotCount + 1, -1, 1_000_000, 0x7fff_ffff, -0x8000_0000]))
      return
    case 2:
      // Not UTF-8, and of the longest length that there may be.
      words[call.at + layout.OUTCOME_WORD] = layout.OUTCOME_REJECT
      words[call.at + layout.MESSAGE_BYTES_WORD] = layout.MESSAGE_BYTES
      bytes.fill(0xff, call.messageAt + call.messageBytes, call.messageAt + layout.MESSAGE_BYTES)
      return
    default:
      for (let count = 1 + random.below(4); count > 0; count -= 1) {
        words[call.at + random.pick(OWN_WORDS)] = oddWord(random)
      }
  }
}

/** Exchanges all that two slots say of their outcomes; their extents stay as they are. */
function swapWords({ words }, a, b) {
  for (const word of OWN_WORDS) {
    const kept = words[a.at + word]
    words[a.at + word] = words[b.at + word]
    words[b.at + word] = kept
  }
}

function swapBytes({ bytes }, a, b) {
  swapRange(bytes, a.messageAt, b.messageAt, layout.MESSAGE_BYTES)
  swapRange(bytes, a.repliesAt, b.repliesAt, Math.min(a.replyRoom, b.replyRoom))
}

function swapRange(bytes, a, b, length) {
  const kept = bytes.slice(a, a + length)
  bytes.copyWithin(a, b, b + length)
  bytes.set(kept, b)
}

function swapping(swap) {
  return (ring) => {
    const calls = shuffled(ring.take(), ring.random)
    for (const call of calls) ring.forge(call)
    for (let index = 0; index + 1 < calls.length; index += 2) {
      const [a, b] = [calls[index], calls[index + 1]]
      // Of different hookpoints only now and then: the outcome of one is a breach at the other.
      if (a.point === b.point || ring.random.chance(RARELY)) swap(ring, a, b)
    }
    for (const call of calls) ring.complete(call)
    ring.publish()
  }
}

/** Words of slots that the host may be reading. */
function flip({ words, bytes, random }, call) {
  switch (random.below(8)) {
    case 0:
      words[call.at + layout.STATE_WORD] = random.chance(0.5) ? call.state : call.state ^ random.below(64)
      return
    case 1:
      bytes[call.messageAt + random.below(24)] = 0xff
      return
    case 2:
      if (call.replyRoom > 0) {
        bytes[call.repliesAt + random.below(64)] = random.chance(0.5) ? 0 : 0xff
      }
      return
    default:
      words[call.at + random.pick(OWN_WORDS)] = random.chance(0.9) ? random.below(3) : oddWord(random)
  }
}

function scribbling(from, to) {
  return (ring) => {
    completeAll(ring)
    const [first, end] = [from(ring), to(ring)]
    const count = ring.random.chance(0.02) ? 2_000 : 1 + ring.random.below(4)
    for (let left = ring.random.chance(0.05) ? count : 0; left > 0; left -= 1) {
      ring.words[first + ring.random.below(end - first)] = oddWord(ring.random)
    }
    ring.rest(1)
  }
}
const arenaWord = ({ slotsWord, slotCount }) => slotsWord + slotCount * layout.SLOT_WORDS

/** A thread that the attacker has started: it changes words of slots for as long as it lives, with breaks. */
const FLIPPER = `
  const { workerData: { buffer, slotsWord, slotCount, ownWords } } = require('node:worker_threads')
  const words = new Int32Array(buffer)
  const nap = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    for (let count = 0; count < 2000; count += 1) {
      const at = slotsWord + Math.floor(Math.random() * slotCount) * ${layout.SLOT_WORDS}
      const word = ownWords[Math.floor(Math.random() * ownWords.length)]
      words[at + word] = Math.random() < 0.98 ? Math.floor(Math.random() * 3) : Math.floor(Math.random() * 2 ** 32) | 0
    }
    Atomics.wait(nap, 0, 0, 1)
  }
`

/** By name; each makes the function that is called until the lane ends. */
export const CARRY_OUT = {
  forged: () => (ring) => completeAll(ring),
  repeated: () => (ring) =>
    completeAll(ring, (call) => {
      if (!ring.random.chance(RARELY)) return
      for (let count = 1 + ring.random.below(16); count > 0; count -= 1) ring.announce(call.slot)
    }),
  'out of range': () => (ring) =>
    completeAll(ring, (call) => {
      if (ring.random.chance(RARELY)) breakRange(ring, call)
    }),
  'swapped verdicts': () => swapping(swapWords),
  'swapped bytes': () =>
    swapping((ring, a, b) => {
      swapWords(ring, a, b)
      swapBytes(ring, a, b)
    }),
  'earlier uses': () => {
    const earlier = new Map()
    return (ring) =>
      completeAll(ring, (call) => {
        const before = earlier.get(call.slot)
        earlier.set(call.slot, ring.words.slice(call.at, call.at + layout.SLOT_WORDS))
        if (before === undefined || !ring.random.chance(RARELY * 2)) return
        if (ring.random.chance(0.5)) ring.words.set(before, call.at)
        call.state = before[layout.STATE_WORD]
      })
  },
  'endless queue': () => (ring) => {
    const calls = ring.take()
    for (const call of calls) {
      ring.forge(call)
      ring.complete(call)
    }
    // Full to the last entry, with what has just been completed.
    if (ring.random.chance(RARELY * 8)) {
      for (let index = calls.length; index < ring.slotCount; index += 1) {
        ring.announce(ring.random.pick(calls)?.slot ?? 0)
      }
    }
    ring.publish()
  },
  late:
    ({ timeoutMs }) =>
    (ring) => {
      const calls = ring.take()
      const isOver = calls.length > 0 && performance.now() - calls[0].sinceMs > timeoutMs * 1.4
      ring.keep(calls)
      if (isOver) completeAll(ring)
      else ring.rest(2)
    },
  'flips in the lane': () => (ring) => {
    const calls = [...ring.take()]
    ring.keep(calls)
    completeAll(ring)
    if (calls.length === 0 || !ring.random.chance(0.05)) return
    const endMs = performance.now() + FLIP_MS
    do {
      for (let count = 0; count < 32; count += 1) flip(ring, ring.random.pick(calls))
    } while (performance.now() < endMs)
  },
  'flips by a thread': (_, ring) => {
    const { words, slotsWord, slotCount } = ring
    new Worker(FLIPPER, { eval: true, workerData: { buffer: words.buffer, slotsWord, slotCount, ownWords: OWN_WORDS } })
    return completeAll
  },
  'scribbles everywhere': () =>
    scribbling(
      () => 0,
      (ring) => ring.words.length,
    ),
  'scribbles in slots': () => scribbling((ring) => ring.slotsWord, arenaWord),
  'scribbles in queues': () =>
    scribbling(
      () => 0,
      (ring) => ring.slotsWord,
    ),
  'scribbles in the arena': () => scribbling(arenaWord, (ring) => ring.words.length),
  doorbell: () => (ring) => {
    for (let count = 0; count < 16; count += 1) ring.ring()
    ring.rest(0.1)
  },
  wakeful: () => {
    let answeredMs = performance.now()
    return (ring) => {
      const endMs = performance.now() + 1
      while (performance.now() < endMs) {
        for (let count = 0; count < 500; count += 1) store(ring.words, layout.HOST_PARK_WORD, layout.AWAKE)
      }
      // Enough to look alive.
      if (performance.now() - answeredMs < 50) return
      answeredMs = performance.now()
      const [first, ...others] = ring.take()
      ring.keep(others)
      if (first === undefined) return
      ring.forge(first)
      ring.complete(first)
      ring.publish()
    }
  },
  'finished with nonsense': () => (ring) => {
    const calls = ring.take()
    for (const { at } of calls) {
      ring.words[at + layout.REPLACED_AREA_WORD] = 7
      store(ring.words, at + layout.DONE_MASK_WORD, 1)
    }
    ring.keep(calls)
    ring.rest(2)
  },
  silent: () => (ring) => {
    const { words, doubles, random } = ring
    const calls = ring.take()
    for (const call of calls) {
      words[call.at + layout.DONE_MASK_WORD] = random.pick([0, 1, 2, 3, call.mask, random.word()])
      words[call.at + layout.REPLACED_AREA_WORD] = random.pick([0, 1, 2, 7, -1])
      words[call.at + layout.REPLACED_BYTES_WORD] = random.pick([call.replyBytes[0], oddWord(random)])
      words[call.at + layout.REPLACED_BYTES_WORD + 1] = random.pick([call.replyBytes[1], oddWord(random)])
      words[call.at + layout.REPLACED_BY_WORD] = random.pick([0, 1, oddWord(random)])
      doubles[(call.at + layout.STARTED_AT_WORD) >> 1] = random.pick([0, performance.now(), 1e300, Number.NaN])
      doubles[(call.at + layout.MARK_AT_WORD) >> 1] = random.pick([0, 1e6, 1e300, Number.NaN])
      store(words, layout.RUNNING_SLOT_WORD, random.pick([0, call.slot + 1, random.below(ring.slotCount) + 1]))
    }
    ring.keep(calls)
    if (exchange(words, layout.LOADING_PLUGIN_WORD, oddWord(random)) === 0 && load(words, 0) === 0) ring.ring()
    ring.rest(2)
  },
}
