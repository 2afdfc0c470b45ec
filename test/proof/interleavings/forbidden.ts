/**
 * What must never happen, and how it is detected. The stage's host thread checks it after each schedule. What threads can
 * see only at the moment when it happens (claims, recalls, what a hook gets), they record on the board.
 */
import type { LaneListener } from '../../../dist/host/model/lane.js'
import type { InFlightCount } from '../../../dist/host/primitives/in-flight-count.js'
import {
  type Board,
  FAILURE_ENDLESS,
  FAILURE_MISFIT,
  FAILURE_NONE,
  FAILURE_STUCK,
  FAILURE_WORD,
  FAULT_CLAIMED_AND_RECALLED,
  FAULT_CLAIMED_TWICE,
  FAULT_EVENT,
  FAULT_RUN_TWICE,
  FAULTS_AT,
  MOST_PLUGINS,
  RUNS_AT,
} from './board.js'
import type { Outcome } from './scenario.js'

export const FORBIDDEN = {
  'lost-wake-up': 'nobody can run any more, and a call, a slot or a control message is still on its way',
  'claimed-twice': 'one use of a slot is claimed twice',
  'claimed-and-recalled': 'one use of a slot is both recalled and claimed',
  'run-twice': 'a plugin is entered twice for one call',
  'settled-twice': 'a call settles more than once',
  'never-settled': 'everything is at rest, and a call has not settled',
  'wrong-outcome': 'a call comes to something that its hooks did not say, or to what happened to another call',
  'not-run': 'a call continues, and a plugin of its chain has not run',
  'old-generation': 'a completion is taken from a lane that was given up, or for a use of a slot that is over',
  'extent-in-use': 'an extent, or a slot, is given out while a call that has not come back still has it',
  'event-torn': 'a hook reads an event that was not, or not yet, or no longer written for its call',
  'false-alarm': 'the host finds an honest worker guilty of breaking the protocol',
  endless: 'the schedule does not come to an end within the bound of steps',
  crashed: 'the code under test throws',
} as const
export type Forbidden = keyof typeof FORBIDDEN

export interface Violation {
  readonly kind: Forbidden
  readonly detail: string
}

/** What the host's side reports while a schedule runs. */
export interface Observer {
  /** Calls that have begun and not settled. */
  readonly calls: InFlightCount
  emitted(event: string): void
  violated(kind: string): void
  /** Checks that only living lanes are listened to. */
  watch(listener: LaneListener): LaneListener
}

export interface CallRecord {
  readonly call: number
  readonly isObservation: boolean
  readonly may: readonly Outcome[]
  outcome: Outcome | null
  settlements: number
}

export const BOARD_FAULTS: Readonly<Record<number, Forbidden>> = {
  [FAULT_CLAIMED_TWICE]: 'claimed-twice',
  [FAULT_CLAIMED_AND_RECALLED]: 'claimed-and-recalled',
  [FAULT_RUN_TWICE]: 'run-twice',
  [FAULT_EVENT]: 'event-torn',
}

/** The faults that the board has after a schedule. */
export function* boardViolations({ words }: Board): Iterable<Violation> {
  const count = words[FAULTS_AT] as number
  for (let index = 0; index < count; index += 1) {
    const kind = BOARD_FAULTS[words[FAULTS_AT + 1 + index * 2] as number] as Forbidden
    yield {
      kind,
      detail: `${kind === 'run-twice' || kind === 'event-torn' ? 'call' : 'slot'} ${words[FAULTS_AT + 2 + index * 2]}`,
    }
  }
}

export function failureViolation({ words }: Board, waitingFor: string): Violation | null {
  switch (words[FAILURE_WORD]) {
    case FAILURE_NONE:
      return null
    case FAILURE_STUCK:
      return { kind: 'lost-wake-up', detail: `waiting for ${waitingFor}` }
    case FAILURE_ENDLESS:
      return { kind: 'endless', detail: `waiting for ${waitingFor}` }
    case FAILURE_MISFIT:
      throw new RangeError('the schedule is not one of this scenario: a switch in it is not possible')
    default:
      throw new RangeError(`failure ${words[FAILURE_WORD]}`)
  }
}

/** What is wrong with the outcomes of the calls of a complete schedule. */
export function* callViolations({ words }: Board, calls: readonly CallRecord[], plugins: number): Iterable<Violation> {
  for (const { call, outcome, may, settlements, isObservation } of calls) {
    if (settlements > 1) yield { kind: 'settled-twice', detail: `call ${call}, ${settlements} times` }
    if (settlements === 0) yield { kind: 'never-settled', detail: `call ${call}` }
    if (isObservation) continue
    if (outcome !== null && !may.includes(outcome)) {
      yield { kind: 'wrong-outcome', detail: `call ${call}: ${outcome}, expected ${may.join(' or ')}` }
    }
    if (outcome !== 'continue') continue
    for (let plugin = 0; plugin < plugins; plugin += 1) {
      if (words[RUNS_AT + call * MOST_PLUGINS + plugin] === 0)
        yield { kind: 'not-run', detail: `call ${call}, p${plugin}` }
    }
  }
}
