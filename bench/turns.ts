/**
 * Seats subjects in processes of their own and lets them take turns in short rounds: A B C A B C. Each process has its
 * own heap, compiled code and threads, so that no subject pays for another, and the machine's drift hits all alike.
 * Called on the main thread of a bench.
 */
import { type AskedProcess, startProcess } from './ask-process.js'
import { medianFigures, type Round, type RoundFigures } from './measure.js'
import type { Progress } from './progress.js'
import type { SubjectRequest } from './subject-process.js'

/** A subject to seat: `module` is the URL of a module that exports `open`, `options` is plain data. */
export interface Seat {
  readonly name: string
  readonly module: URL
  readonly options: unknown
  readonly inFlight: readonly number[]
}

export interface TurnPlan {
  readonly rounds: number
  readonly roundMs: number
  readonly warmUpMs: number
  readonly progress: Progress
}

export interface SeatResult {
  readonly name: string
  readonly inFlight: number
  /** Medians over the rounds; absent when the subject could not be measured. */
  readonly figures: RoundFigures | undefined
  readonly events: number
  readonly wrong: number
  readonly failed: number
  /** What the subject says of itself at this level, or why it failed. */
  readonly note: string | undefined
}

interface Seated {
  readonly seat: Seat
  readonly process: AskedProcess
  readonly rounds: Map<number, Round[]>
  readonly notes: Map<number, string>
  broken: string | undefined
}

const OPEN_TIMEOUT_MS = 20_000
const ANSWER_TIMEOUT_MS = 8_000
const CLOSE_TIMEOUT_MS = 3_000

/** How many steps of progress takeTurns takes. */
export function countSteps(seats: readonly Seat[], plan: Pick<TurnPlan, 'rounds'>): number {
  return seats.reduce((sum, seat) => sum + seat.inFlight.length, 0) * (plan.rounds + 1)
}

/** Runs all seats and returns one result for each seat and level, in the order of the seats. */
export async function takeTurns(seats: readonly Seat[], plan: TurnPlan): Promise<SeatResult[]> {
  const seated = seats.map((seat): Seated => {
    const process = startProcess(new URL('./subject-process.js', import.meta.url))
    return { seat, process, rounds: new Map(), notes: new Map(), broken: undefined }
  })
  try {
    await Promise.all(seated.map(open))
    const levels = [...new Set(seats.flatMap((seat) => seat.inFlight))].sort((a, b) => a - b)
    const turns = (level: number): Seated[] => seated.filter(({ seat }) => seat.inFlight.includes(level))
    for (const level of levels) {
      for (const one of turns(level)) await warmUp(one, level, plan)
    }
    for (let round = 0; round < plan.rounds; round++) {
      for (const level of levels) {
        for (const one of turns(level)) {
          plan.progress.step(`round ${round + 1}/${plan.rounds}, ${level} in flight: ${one.seat.name}`)
          await runRound(one, level, plan.roundMs)
        }
      }
    }
  } finally {
    await Promise.all(
      seated.map(async (one) => {
        await ask(one, { kind: 'close' }, CLOSE_TIMEOUT_MS)
        await one.process.end()
      }),
    )
  }
  return seated.flatMap((one) => one.seat.inFlight.map((level) => resultOf(one, level)))
}

async function open(one: Seated): Promise<void> {
  const { module, options } = one.seat
  await ask(one, { kind: 'open', module: module.href, options }, OPEN_TIMEOUT_MS)
}

async function warmUp(one: Seated, level: number, { warmUpMs, progress }: TurnPlan): Promise<void> {
  progress.step(`warming up, ${level} in flight: ${one.seat.name}`)
  const note = await ask<string>(one, { kind: 'prepare', inFlight: level }, ANSWER_TIMEOUT_MS)
  if (note !== undefined) one.notes.set(level, note)
  await ask(one, { kind: 'run', inFlight: level, roundMs: warmUpMs }, warmUpMs + ANSWER_TIMEOUT_MS)
}

async function runRound(one: Seated, level: number, roundMs: number): Promise<void> {
  const round = await ask<Round>(one, { kind: 'run', inFlight: level, roundMs }, roundMs + ANSWER_TIMEOUT_MS)
  if (round === undefined) return
  const rounds = one.rounds.get(level)
  if (rounds === undefined) one.rounds.set(level, [round])
  else rounds.push(round)
}

/** A subject that fails or falls silent is out for the rest of the run; the others go on. */
async function ask<Answer>(one: Seated, request: SubjectRequest, timeoutMs: number): Promise<Answer | undefined> {
  if (one.broken !== undefined) return undefined
  try {
    return await one.process.ask<Answer | undefined>(request, timeoutMs)
  } catch (error) {
    one.broken = `${request.kind}: ${error instanceof Error ? error.message : String(error)}`
    return undefined
  }
}

function resultOf(one: Seated, inFlight: number): SeatResult {
  const rounds = one.rounds.get(inFlight) ?? []
  const sum = (key: 'events' | 'wrong' | 'failed'): number => rounds.reduce((total, round) => total + round[key], 0)
  const firstFailure = rounds.find((round) => round.firstFailure !== undefined)?.firstFailure
  return {
    name: one.seat.name,
    inFlight,
    figures: rounds.length === 0 ? undefined : medianFigures(rounds.map((round) => round.figures)),
    events: sum('events'),
    wrong: sum('wrong'),
    failed: sum('failed'),
    note: one.broken ?? firstFailure ?? one.notes.get(inFlight),
  }
}
