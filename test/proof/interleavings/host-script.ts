/** What a scenario's script does on the host's side, and what is observed of it. The stage's host thread only. */
import type { LaneLink } from '../../../dist/host/lanes/lane-link.js'
import type { LaneThread } from '../../../dist/host/lanes/lane-threads.js'
import type { InFlightCount } from '../../../dist/host/primitives/in-flight-count.js'
import type { SteppedAtomics } from './atomics.js'
import {
  CALLER_WORD,
  HOST,
  MAIL_SHUTDOWN,
  MAIL_STOP,
  MODE_FREE,
  MODE_WORD,
  MOST_THREADS,
  OP_NOTE,
  PHASE_BEFORE,
  RING_COUNT_WORD,
  ringWord,
  STATE_LAST,
} from './board.js'
import type { importEngine, StageEngine, StageThreads } from './engine.js'
import type { VirtualLoop } from './event-loop.js'
import type { CallRecord, Observer, Violation } from './forbidden.js'
import { importFrom } from './modules.js'
import { watchListener, watchRings } from './observer.js'
import { type Asked, checkOf, type HostScript, type Outcome, reasonOf, type Scenario } from './scenario.js'
import type { Stage } from './stage.js'
import { NOTE_ABORTS, NOTE_ASKS, NOTE_OPENS, NOTE_TELLS, NOTE_TIME } from './trace.js'

export interface HostParts {
  readonly dist: string
  readonly stage: Stage
  readonly stepped: SteppedAtomics
  readonly loop: VirtualLoop
  readonly rings: readonly SharedArrayBuffer[]
  readonly engines: Awaited<ReturnType<typeof importEngine>>
}

/** The host of one schedule. */
export interface StagedHost {
  readonly script: HostScript
  readonly calls: readonly CallRecord[]
  /** Called once in each turn of the loop: lets those go on whose condition holds. Returns whether there were any. */
  look(): boolean
  violations(): Violation[]
  waitingFor(): string
}

interface Verdict {
  readonly kind: string
  readonly reason?: string
  readonly code?: number
  readonly failure?: { readonly kind: string }
}

declare global {
  /** Where the sequences of rings start, in the copies of the code under test that ask for it. */
  var hookringFirstSequence: number
}

export async function openHost({ stage, stepped, loop, rings, engines, dist }: HostParts) {
  const { words } = stage.board
  const { HostRing } = await importFrom(dist, 'ring/host-ring')
  const watchUse = watchRings(HostRing.prototype, await importFrom(dist, 'ring/layout'))

  // Rings are in memory that the lanes' threads already have: passing it to them would take longer than a schedule.
  const RealBuffer = globalThis.SharedArrayBuffer
  const pooled = function pooledBuffer(bytes: number): SharedArrayBuffer {
    const index = words[RING_COUNT_WORD] as number
    const buffer = rings[index]
    if (buffer === undefined || bytes > buffer.byteLength) return new RealBuffer(bytes)
    words[RING_COUNT_WORD] = index + 1
    new Int32Array(buffer).fill(0)
    return buffer
  }
  globalThis.SharedArrayBuffer = pooled as unknown as SharedArrayBufferConstructor

  async function begin(scenario: Scenario): Promise<StagedHost> {
    globalThis.hookringFirstSequence = scenario.firstSequence ?? 0
    const violations: Violation[] = []
    const calls: CallRecord[] = []
    const waits: { isOver(): boolean; resolve(): void }[] = []
    const answers = new Map<number, () => void>()
    watchUse(violations)
    let entered = 0
    let left = 0
    let replaced = 0
    let accused = 0
    // The host's side calls only these two methods of the count.
    const tally = (enter: () => void, leave: () => void) => ({ enter, leave }) as InFlightCount
    const observer: Observer = {
      calls: tally(
        () => {
          entered += 1
        },
        () => {
          left += 1
          if (left > entered) violations.push({ kind: 'settled-twice', detail: `${left} settled of ${entered}` })
        },
      ),
      emitted(event) {
        if (event === 'laneReplaced') replaced += 1
      },
      violated(kind) {
        accused += 1
        if (scenario.isRogue !== true) violations.push({ kind: 'false-alarm', detail: kind })
      },
      watch: (listener) => watchListener(listener, violations),
    }
    loop.onMessage((message) => answers.get(message >> 4)?.())
    const engine: StageEngine = await engines.open(scenario, createThreads(answers), observer)

    function isAllBack(): boolean {
      return (
        calls.every((call) => call.isObservation || call.settlements > 0) &&
        left >= entered &&
        engine.queueDepth === 0 &&
        engine.lanes().every((lane) => lane.inFlight === 0)
      )
    }

    function until(isOver: () => boolean): Promise<void> {
      return new Promise((resolve) => waits.push({ isOver, resolve }))
    }

    function note(what: number, value: number): void {
      stage.point(PHASE_BEFORE, OP_NOTE, 0, what, value)
    }

    function begun(may: readonly Outcome[], isObservation: boolean): CallRecord {
      const record: CallRecord = { call: calls.length, isObservation, may, outcome: null, settlements: 0 }
      calls.push(record)
      return record
    }

    function ask(does: string, { may = [] }: { may?: readonly Outcome[] } = {}): Asked {
      const plain: Outcome = does.includes('deny') ? 'reject' : 'continue'
      const record = begun([plain, ...may], false)
      const { call } = record
      note(NOTE_ASKS, call)
      const controller = may.includes('error:CALL_ABORTED') ? new AbortController() : null
      const settled = engine
        .ask({ call, does, check: checkOf(call) }, controller === null ? undefined : { signal: controller.signal })
        .then(
          (verdict) => outcomeOf(verdict as Verdict, call),
          (error: { code?: string }): Outcome => `error:${error.code ?? String(error)}`,
        )
        .then((outcome) => {
          record.settlements += 1
          record.outcome = outcome
        })
      return {
        call,
        settled,
        abort() {
          note(NOTE_ABORTS, call)
          controller?.abort()
        },
      }
    }

    const script: HostScript = {
      ask,
      tell(does) {
        const { call } = begun(['continue'], true)
        note(NOTE_TELLS, call)
        engine.tell({ call, does, check: checkOf(call) }, undefined)
      },
      turn: () => new Promise((resolve) => setImmediate(resolve)),
      async quiet() {
        // What this turn submits is published at its end.
        await script.turn()
        stage.block(STATE_LAST)
      },
      advance(ms) {
        note(NOTE_TIME, ms)
        loop.advance(ms)
      },
      open(latch) {
        note(NOTE_OPENS, latch)
        stepped.open(latch)
      },
      allBack: () => until(isAllBack),
      shutdown: () => engine.shutdown(),
      stop: () => engine.stop(),
      get replaced() {
        return replaced
      },
    }

    return {
      script,
      calls,
      look() {
        let hasGoneOn = false
        for (const wait of waits.splice(0)) {
          if (wait.isOver()) {
            hasGoneOn = true
            wait.resolve()
          } else {
            waits.push(wait)
          }
        }
        return hasGoneOn
      },
      violations() {
        if (scenario.isRogue === true && accused === 0) {
          violations.push({ kind: 'old-generation', detail: 'a completion for an earlier use of its slot was taken' })
        }
        for (const call of calls) if (call.isObservation) call.settlements = 1
        return violations
      },
      waitingFor() {
        const open = calls.filter((call) => !call.isObservation && call.settlements === 0).map(({ call }) => call)
        const slots = engine.lanes().reduce((sum, lane) => sum + lane.inFlight, 0)
        return `calls [${open.join(', ')}], ${entered - left - open.length} observations, ${slots} slots, ${engine.queueDepth} in the queue`
      },
    }
  }

  /** The lanes' threads, in order. A lane that is loaded runs its loop from then on. */
  function createThreads(answers: Map<number, () => void>): StageThreads {
    let taken = HOST
    return {
      take(): LaneThread {
        taken += 1
        const thread = taken
        if (thread >= MOST_THREADS) throw new RangeError('the stage has no more threads for lanes')
        let announce = () => {}
        let isGone = false
        const send = (message: number) => {
          loop.post(thread, message)
          announce()
          return new Promise<void>((resolve) => answers.set(thread, resolve))
        }
        const never = new Promise<never>(() => {})
        return {
          ended: never,
          gone: never,
          // A lane that was not asked to stop runs to the end of the schedule.
          terminate: () => Promise.resolve(isGone),
          link: quietLink({
            load(spec) {
              load(thread, rings.indexOf(spec.buffer))
              return Promise.resolve({ ok: true, manifests: [] })
            },
            shutdown: () => send(MAIL_SHUTDOWN),
            async stop() {
              await send(MAIL_STOP)
              isGone = true
            },
            onSent(announcer) {
              announce = announcer
            },
          }),
        }
      },
    }
  }

  /** Loads in one step: other tests cover what races with loading. */
  function load(thread: number, ring: number): void {
    const mode = words[MODE_WORD] as number
    words[MODE_WORD] = MODE_FREE
    words[ringWord(thread)] = ring
    words[CALLER_WORD] = HOST
    stage.pass(thread)
    stage.awaitToken()
    words[MODE_WORD] = mode
  }

  return { begin }
}

/** A link whose lane logs nothing, and does only what `parts` do. */
function quietLink(parts: Pick<LaneLink, 'load' | 'shutdown' | 'stop' | 'onSent'>): LaneThread['link'] {
  const nothing = () => {}
  return { ...parts, handOver: async () => {}, onLog: nothing, onLost: nothing, onServe: nothing }
}

function outcomeOf({ kind, reason, code, failure }: Verdict, call: number): Outcome {
  if (failure !== undefined) return `failure:${failure.kind}`
  if (kind !== 'reject') return kind as Outcome
  // It is the verdict of another call, or its bytes are no longer its own.
  if (code !== call || reason !== reasonOf(call)) return `error:reject ${code} (${reason})`
  return 'reject'
}
