/**
 * A ring in the hands of an attacker: what the attacks are built of. Takes the place of the lane's own loop, in the lane's
 * thread, from inside of a hook that never returns; every byte of the buffer is within reach.
 */
import { createEncoder } from '../../../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../../../dist/contracts/codec/memory.js'
import * as layout from '../../../../dist/ring/layout.js'
import { siege } from '../contract.mjs'
import { PUSHED_WORD, RUNG_WORD, WANTED_WORD } from '../orders.mjs'
import { tagOf } from '../verdicts.mjs'

// Kept from before the attacker stands in for one of them.
const { store, load, exchange, compareExchange, notify, wait, add } = Atomics

/** How long the attacker sleeps at most when there is nothing to complete, milliseconds. */
const REST_MS = 5

const points = Object.values(siege.hookpoints).map(({ kind, plan, replyPlan }) => ({
  kind,
  idAt: plan.root.fields.find((field) => field.key === 'id').at,
  encodeReply: kind === 'transform' ? createEncoder(plan) : replyPlan === null ? null : createEncoder(replyPlan),
}))

/**
 * @param words the whole buffer, as the lane sees it. The caller is in the hook of the last call that the lane has claimed,
 * and all before it are completed, since the attacker's hooks are synchronous.
 */
export function ownRing(words, { orders, seed, random }) {
  const isWanted = () => load(orders, WANTED_WORD) === seed
  const slotCount = words[layout.SLOT_COUNT_WORD]
  const { submitRingWord, completeRingWord, slotsWord, messagesByte } = layout.layoutOf({ slotCount, arenaBytes: 0 })
  const bytes = new Uint8Array(words.buffer)
  const doubles = new Float64Array(words.buffer)
  const memory = codecMemory(words.buffer)
  let tail = words[layout.COMPLETE_TAIL_WORD]
  let head = tail
  let unpublished = 0
  /** Submitted and not completed: what the host counts on. */
  let outstanding = []

  /** Remembers what the host wrote: the words themselves may be scribbled over later. */
  function callIn(slot) {
    const at = slotsWord + slot * layout.SLOT_WORDS
    const call = {
      slot,
      at,
      state: words[at + layout.STATE_WORD],
      point: points[words[at + layout.HOOKPOINT_WORD]],
      mask: words[at + layout.MASK_WORD],
      eventAt: words[at + layout.EXTENT_AT_WORD],
      messageAt: messagesByte + slot * layout.MESSAGE_BYTES,
      repliesAt: layout.repliesAt(
        words[at + layout.EXTENT_AT_WORD],
        words[at + layout.EVENT_BYTES_WORD],
        words[at + layout.TRACE_BYTES_WORD],
      ),
      replyRoom: words[at + layout.REPLY_ROOM_WORD],
      replyBytes: [0, 0],
      id: 0,
      sinceMs: performance.now(),
    }
    call.id = call.point === undefined ? 0 : memory.view.getUint32(call.eventAt + call.point.idAt, true)
    return call
  }

  /** Takes over all that was submitted. Whether the state says so or not is a matter of taste: the host must not mind. */
  function claim() {
    let waiting = Math.min((load(words, layout.SUBMIT_TAIL_WORD) - head) | 0, slotCount)
    for (; waiting > 0; waiting -= 1) {
      const slot = words[submitRingWord + (head & (slotCount - 1))]
      head = (head + 1) | 0
      if (slot < 0 || slot >= slotCount) continue
      const at = slotsWord + slot * layout.SLOT_WORDS + layout.STATE_WORD
      const state = load(words, at)
      if ((state & layout.STATE_MASK) === layout.SUBMITTED && random.chance(0.9)) {
        compareExchange(words, at, state, (state & ~layout.STATE_MASK) | layout.CLAIMED)
      }
      const call = callIn(slot)
      tag(call)
      outstanding.push(call)
    }
    return outstanding.length
  }

  /** Leaves the call's tag wherever the host may look for a reply, so that no earlier one is left. */
  function tag(call) {
    const text = tagOf(call.id)
    call.messageBytes = memory.buffer.write(text, call.messageAt)
    if (call.point?.encodeReply == null) return
    const areas = call.point.kind === 'transform' ? 2 : 1
    for (let area = 0; area < areas; area += 1) {
      const at = layout.replyAt(call.repliesAt, call.replyRoom, area)
      call.replyBytes[area] = call.point.encodeReply.encode(memory, at, at + call.replyRoom, replyOf(call, text))
    }
  }

  function replyOf({ id, point }, text) {
    return point.kind === 'transform' ? { id, text, order: '', seed: 0 } : { id, text }
  }

  /** Fills in what an honest lane could have written: any outcome that the hookpoint knows. */
  function forge(call) {
    const { at, point, mask } = call
    const kinds = OUTCOMES[point?.kind ?? 'gate']
    const outcome = random.chance(0.0005) ? random.pick(FAILURES) : random.pick(kinds)
    const replaces = point?.kind === 'transform' && random.chance(0.6)
    words[at + layout.OUTCOME_WORD] = outcome
    words[at + layout.OUTCOME_PLUGIN_WORD] = pluginIn(mask)
    words[at + layout.MESSAGE_BYTES_WORD] = call.messageBytes
    words[at + layout.HAS_CODE_WORD] = random.below(2)
    words[at + layout.CODE_WORD] = random.word() & 0xffff
    words[at + layout.ANSWER_BYTES_WORD] = call.replyBytes[0]
    words[at + layout.REPLACED_BYTES_WORD] = call.replyBytes[0]
    words[at + layout.REPLACED_BYTES_WORD + 1] = call.replyBytes[1]
    words[at + layout.REPLACED_BY_WORD] = pluginIn(mask)
    words[at + layout.REPLACED_AREA_WORD] = replaces ? 1 + random.below(2) : 0
    words[at + layout.DONE_MASK_WORD] = random.chance(0.5) ? 0 : mask
    doubles[(at + layout.STARTED_AT_WORD) >> 1] = random.chance(0.5) ? random.next() * 1e9 : 0
    doubles[(at + layout.MARK_AT_WORD) >> 1] = random.chance(0.5) ? random.next() * 1e9 : 0
  }

  /** Of the plugins that were asked, any. */
  function pluginIn(mask) {
    const asked = [0, 1].filter((index) => (mask & (1 << index)) !== 0)
    return asked.length === 0 ? 0 : random.pick(asked)
  }

  /** Says that the slot is completed, in this use, and puts it into the queue. */
  function complete(call) {
    words[call.at + layout.STATE_WORD] = (call.state & ~layout.STATE_MASK) | layout.COMPLETED
    announce(call.slot)
  }

  /** Puts a slot into the queue, or what is none. */
  function announce(slot) {
    words[completeRingWord + (tail & (slotCount - 1))] = slot
    tail = (tail + 1) | 0
    unpublished += 1
  }

  function publish() {
    // Counted first: what the host has taken must never be more than what was pushed.
    add(orders, PUSHED_WORD, unpublished)
    unpublished = 0
    store(words, layout.COMPLETE_TAIL_WORD, tail)
    if (load(words, layout.HOST_PARK_WORD) !== layout.PARKED) return
    if (exchange(words, layout.HOST_PARK_WORD, layout.AWAKE) === layout.PARKED) ring()
  }

  function ring() {
    add(orders, RUNG_WORD, 1)
    store(words, layout.HOST_PARK_WORD, layout.AWAKE)
    notify(words, layout.HOST_PARK_WORD)
  }

  /** Sleeps as an honest lane does, for a moment at most. */
  function rest(ms = REST_MS) {
    store(words, layout.WORKER_PARK_WORD, layout.PARKED)
    if (load(words, layout.SUBMIT_TAIL_WORD) === head && isWanted()) {
      wait(words, layout.WORKER_PARK_WORD, layout.PARKED, ms)
    }
    store(words, layout.WORKER_PARK_WORD, layout.AWAKE)
  }

  /** A breach that no host may overlook: the queue says that more is waiting than it can hold. */
  function breach() {
    add(orders, PUSHED_WORD, 1)
    store(words, layout.COMPLETE_TAIL_WORD, (tail + slotCount + 1 + random.below(1_000_000)) | 0)
    ring()
  }

  return {
    words,
    doubles,
    /** No hook runs, by the host's account. */
    leaveNoTrace: () => store(words, layout.RUNNING_SLOT_WORD, 0),
    bytes,
    random,
    slotCount,
    slotsWord,
    submitRingWord,
    completeRingWord,
    claim,
    forge,
    complete,
    announce,
    publish,
    ring,
    rest,
    breach,
    isWanted,
    /** All that is outstanding; the taker answers for it. */
    take() {
      const taken = outstanding
      outstanding = []
      return taken
    },
    keep(calls) {
      outstanding.push(...calls)
    },
    /** The queue's tail moves without an entry. */
    skip(by) {
      tail = (tail + by) | 0
      unpublished += 1
    },
  }
}

const { OUTCOME_CONTINUE, OUTCOME_REJECT, OUTCOME_RESPOND } = layout
const OUTCOMES = {
  gate: [OUTCOME_CONTINUE, OUTCOME_REJECT],
  observe: [OUTCOME_CONTINUE],
  transform: [OUTCOME_CONTINUE, OUTCOME_CONTINUE, OUTCOME_REJECT],
  respond: [OUTCOME_CONTINUE, OUTCOME_RESPOND, OUTCOME_RESPOND, OUTCOME_REJECT],
}
/** Rare, since each counts against the plugin as its violations do. */
const FAILURES = [layout.OUTCOME_ERROR, layout.OUTCOME_INVALID, layout.OUTCOME_ABANDONED]
