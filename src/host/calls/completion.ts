/**
 * Reads what a worker wrote into a slot and turns it into the call's next step. Every value is read once, copied and
 * checked: a plugin may own its worker completely, and may still be writing. Host's thread only.
 */
import { codecMemory } from '../../contracts/codec/memory.js'
import type { EventReader } from '../../contracts/codec/read.js'
import type { Checked } from '../../contracts/codec/refinements.js'
import { HookringError } from '../../contracts/errors.js'
import { misfitMessage } from '../../contracts/reply.js'
import type { CutShortBy, Failure, FailureKind } from '../../contracts/verdict.js'
import * as layout from '../../ring/layout.js'
import { type Call, ensureRare } from '../model/call.js'
import type { Lane } from '../model/lane.js'
import type { ActivePlugin } from '../model/plugin.js'
import { addTimes, type Times } from '../model/trip.js'
import { VERDICT_INDEX, type ViolationKind } from '../telemetry/recorders.js'
import { cutShortBy, cutShortWhenThrowing } from './blame.js'
import { failureOf, thrownErrorIn } from './failures.js'
import type { Hops } from './hops.js'
import { type Marks, markMsOf, startedMsOf } from './marks.js'
import { recordRuns } from './runs.js'

// V8 compiles a module's own constants in; imported ones it loads and checks at each use.
const {
  ANSWER_BYTES_WORD,
  CODE_WORD,
  HAS_CODE_WORD,
  MESSAGE_BYTES,
  MESSAGE_BYTES_WORD,
  OUTCOME_ABANDONED,
  OUTCOME_CONTINUE,
  OUTCOME_ERROR,
  OUTCOME_INVALID,
  OUTCOME_PLUGIN_WORD,
  OUTCOME_REJECT,
  OUTCOME_RESPOND,
  OUTCOME_WORD,
  REPLACED_AREA_WORD,
  REPLACED_BY_WORD,
  REPLACED_BYTES_WORD,
} = layout

/** Thrown and caught in this module only: the worker wrote what no honest worker writes. */
class Violation {
  readonly kind: ViolationKind
  constructor(kind: ViolationKind) {
    this.kind = kind
  }
}

interface Refused {
  readonly plugin: ActivePlugin
  readonly problem: string
}

export interface CompletionOptions {
  readonly hops: Pick<Hops, 'proceed' | 'decide' | 'fail'>
  /** The worker broke the protocol with this call. */
  violated(lane: Lane, kind: ViolationKind, call: Call): void
  /** How long the process stood still since `sinceMs`, in milliseconds. */
  lostMsSince(sinceMs: number, nowMs: number): number
}

export class Completion {
  readonly #hops: CompletionOptions['hops']
  readonly #violated: CompletionOptions['violated']
  readonly #lostMsSince: CompletionOptions['lostMsSince']

  constructor({ hops, violated, lostMsSince }: CompletionOptions) {
    this.#hops = hops
    this.#violated = violated
    this.#lostMsSince = lostMsSince
  }

  /** Takes a call whose trip has come back. */
  take(lane: Lane, slot: number, call: Call, nowMs: number): void {
    try {
      this.#read(lane, slot, call, nowMs)
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.#violated(lane, error.kind, call)
    }
  }

  /** The outcome of most hops. Fast path, small enough for V8 to compile in one piece. */
  #read(lane: Lane, slot: number, call: Call, nowMs: number): void {
    const { ring } = lane
    const { tripMs, hookpoint } = call
    // The trip was never published.
    if (!call.hasBegun) throw new Violation('state')
    const startedMs = startedMsOf(lane, slot, tripMs, nowMs)
    const markMs = markMsOf(lane, slot, startedMs, nowMs)
    hookpoint.recorder.recordWaiting((startedMs - tripMs) * 1000)
    if (call.times !== null) addTimes(call, startedMs - tripMs, markMs - startedMs)
    const outcome = ring.slotWord(slot, OUTCOME_WORD)
    if (outcome === OUTCOME_CONTINUE && hookpoint.kind !== 'transform') {
      recordRuns(lane, call, call.mask, markMs - startedMs, nowMs)
      this.#hops.proceed(call, call.mask)
    } else {
      this.#readRarer(lane, slot, call, outcome, { startedMs, markMs }, nowMs)
    }
  }

  #readRarer(lane: Lane, slot: number, call: Call, outcome: number, marks: Marks, nowMs: number): void {
    const ranMs = marks.markMs - marks.startedMs
    switch (outcome) {
      case OUTCOME_CONTINUE: {
        const refused = this.#takeReplacement(lane, slot, call)
        if (refused !== null) {
          this.#refuseReplacement(lane, call, refused, marks, nowMs, call.mask)
          return
        }
        recordRuns(lane, call, call.mask, ranMs, nowMs)
        this.#hops.proceed(call, call.mask)
        return
      }
      case OUTCOME_REJECT: {
        const plugin = decider(lane, slot, call)
        if (call.hookpoint.kind === 'observe') throw new Violation('code')
        const reason = message(lane, slot)
        const { ring } = lane
        const code =
          ring.slotWord(slot, HAS_CODE_WORD) === 1 ? { code: ring.slotWord(slot, CODE_WORD) & 0x7fffffff } : {}
        recordRuns(lane, call, upTo(call, plugin), ranMs, nowMs, plugin, VERDICT_INDEX.reject)
        this.#hops.decide(call, { kind: 'reject', reason, ...code, plugin: plugin.name, ...allowed(call) })
        return
      }
      case OUTCOME_RESPOND: {
        const plugin = decider(lane, slot, call)
        if (call.hookpoint.kind !== 'respond') throw new Violation('code')
        this.#answer(lane, slot, call, plugin, marks, nowMs)
        return
      }
      case OUTCOME_ERROR:
        this.#failed(lane, slot, call, 'error', marks, nowMs)
        return
      case OUTCOME_INVALID:
        this.#failed(lane, slot, call, 'invalid', marks, nowMs)
        return
      case OUTCOME_ABANDONED:
        this.#failed(lane, slot, call, 'timeout', marks, nowMs)
        return
      default:
        throw new Violation('code')
    }
  }

  #answer(lane: Lane, slot: number, call: Call, plugin: ActivePlugin, marks: Marks, nowMs: number): void {
    const bytes = lane.ring.slotWord(slot, ANSWER_BYTES_WORD)
    if (bytes < 0 || bytes > call.hookpoint.replyRoom(call.eventBytes)) throw new Violation('bounds')
    const copy = lane.bytes.copyOut(lane.replyAt(slot, call, 0), bytes)
    const checked = parse(call.hookpoint.replyReader as EventReader, copy)
    if (!checked.ok) {
      this.#failed(lane, slot, call, 'invalid', marks, nowMs, misfitMessage('answer', checked))
      return
    }
    recordRuns(lane, call, upTo(call, plugin), marks.markMs - marks.startedMs, nowMs, plugin, VERDICT_INDEX.respond)
    this.#hops.decide(call, { kind: 'respond', value: checked.value, plugin: plugin.name, ...allowed(call) })
  }

  #failed(lane: Lane, slot: number, call: Call, kind: FailureKind, marks: Marks, nowMs: number, text?: string): void {
    const plugin = decider(lane, slot, call)
    const before = upTo(call, plugin) & ~(1 << plugin.index)
    const refused = this.#takeReplacement(lane, slot, call)
    if (refused !== null) {
      this.#refuseReplacement(lane, call, refused, marks, nowMs, upTo(call, plugin))
      return
    }
    recordRuns(lane, call, before, marks.markMs - marks.startedMs, nowMs)
    plugin.recorders[call.hookpoint.index]!.calls += 1
    const said = kind === 'timeout' ? 'its promise was pending at the deadline' : (text ?? message(lane, slot))
    const [what = ''] = said.split('\0', 1)
    const error = kind === 'error' ? thrownErrorIn(said) : undefined
    const cutShort = this.#cutShortBy(call, plugin, kind, before === 0, marks, nowMs)
    const failure = failureOf(call, plugin, { kind, what, times: timesOf(call, marks), cutShortBy: cutShort, error })
    this.#hops.fail(call, plugin, failure, before)
  }

  #cutShortBy(
    call: Call,
    plugin: ActivePlugin,
    kind: FailureKind,
    isFirst: boolean,
    { startedMs, markMs: endMs }: Marks,
    nowMs: number,
  ): CutShortBy | undefined {
    if (kind !== 'timeout' && kind !== 'error') return undefined
    const lostMs = this.#lostMsSince(startedMs, nowMs)
    // It is not known when a later plugin was entered; the lane has given it all its own time.
    const ownDueMs = isFirst ? call.tripMs + plugin.timeoutMs + lostMs : endMs
    const turn = { ownDueMs, endMs, ranMs: isFirst ? endMs - startedMs - lostMs : plugin.timeoutMs }
    return kind === 'timeout' ? cutShortBy(call, plugin, turn) : cutShortWhenThrowing(call, turn)
  }

  /** Fails the plugin whose replacement fits the layout but not the schema. The plugins in `done` have run. */
  #refuseReplacement(lane: Lane, call: Call, refused: Refused, marks: Marks, nowMs: number, done: number): void {
    const { plugin, problem } = refused
    recordRuns(lane, call, done & ~(1 << plugin.index), marks.markMs - marks.startedMs, nowMs)
    plugin.recorders[call.hookpoint.index]!.calls += 1
    const times = timesOf(call, marks)
    this.#hops.fail(call, plugin, failureOf(call, plugin, { kind: 'invalid', what: problem, times }), done)
  }

  /** Makes the worker's replacement, if there is one, the call's own: copies it out, decodes and validates it. */
  #takeReplacement(lane: Lane, slot: number, call: Call): Refused | null {
    if (call.hookpoint.kind !== 'transform') return null
    const area = lane.ring.slotWord(slot, REPLACED_AREA_WORD)
    if (area === 0) return null
    if (area !== 1 && area !== 2) throw new Violation('bounds')
    const bytes = lane.ring.slotWord(slot, REPLACED_BYTES_WORD + area - 1)
    if (bytes < 0 || bytes > call.hookpoint.replyRoom(call.eventBytes)) throw new Violation('bounds')
    const by = pluginAt(lane, call, lane.ring.slotWord(slot, REPLACED_BY_WORD))
    const copy = lane.bytes.copyOut(lane.replyAt(slot, call, area - 1), bytes)
    // The worker's encoder checks what the layout can express; the schema may require more.
    const checked = parse(call.hookpoint.reader, copy)
    if (!checked.ok) return { plugin: by, problem: misfitMessage('replacement', checked) }
    ensureRare(call).replacement = { event: checked.value, by, before: call.rare.replacement }
    ensureRare(call).hasNewEvent = true
    return null
  }

  /** Keeps what the plugins of a trip have replaced so far. For a trip that will not complete. */
  salvage(lane: Lane, slot: number, call: Call): void {
    try {
      this.#takeReplacement(lane, slot, call)
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.#violated(lane, error.kind, call)
    }
  }
}

function decider(lane: Lane, slot: number, call: Call): ActivePlugin {
  return pluginAt(lane, call, lane.ring.slotWord(slot, OUTCOME_PLUGIN_WORD))
}

function pluginAt(lane: Lane, call: Call, index: number): ActivePlugin {
  const plugin = index >= 0 && index < 31 && (call.mask & (1 << index)) !== 0 ? lane.bulkhead.plugins[index] : undefined
  if (plugin === undefined) throw new Violation('bounds')
  return plugin
}

function message(lane: Lane, slot: number): string {
  const bytes = lane.ring.slotWord(slot, MESSAGE_BYTES_WORD)
  if (bytes < 0 || bytes > MESSAGE_BYTES) throw new Violation('bounds')
  // Nearly all messages are ASCII and need no decoder, which is slow for short texts.
  if (lane.bytes.copyAscii(lane.ring.messageAt(slot), bytes, messageBytes)) {
    return messageBytes.toString('latin1', 0, bytes)
  }
  try {
    return strictUtf8.decode(messageBytes.subarray(0, bytes))
  } catch {
    throw new Violation('utf8')
  }
}

/** Messages are copied here before they are read. */
const messageBytes = Buffer.alloc(MESSAGE_BYTES)
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Decodes what a worker wrote, and has the schema check what the layout cannot express. */
function parse(reader: EventReader, copy: Uint8Array): Checked {
  try {
    return reader.parse(codecMemory(copy.buffer as ArrayBuffer), 0, copy.length)
  } catch (error) {
    if (error instanceof HookringError) throw new Violation('reply')
    throw error
  }
}

function timesOf(call: Call, { startedMs, markMs }: Marks): Times {
  return { waitedMs: startedMs - call.tripMs, ranMs: markMs - startedMs }
}

/** The plugins of the trip, as a mask, up to and including `plugin`. */
function upTo(call: Call, plugin: ActivePlugin): number {
  return call.mask & ((2 << plugin.index) - 1)
}

function allowed(call: Call): { failure?: Failure } {
  return call.rare.failure === null ? {} : { failure: call.rare.failure }
}
