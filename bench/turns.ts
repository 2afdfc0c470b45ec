/**
 * Lets subjects take turns in closed loops, and sums their rounds up. Called on the main thread of a bench.
 */
import { type ProgressLine, type Round, turns } from './instruments.js'
import { medianFigures, type RoundFigures } from './measure.js'

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
  readonly progress: ProgressLine
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
  /** Rounds that were taken again because the machine was disturbed. */
  readonly retaken: number
}

/** How many steps of progress takeTurns takes. */
export function countSteps(seats: readonly Seat[], plan: Pick<TurnPlan, 'rounds'>): number {
  return turns.countSteps(seats.map(withLoads), plan)
}

/** Runs all seats and returns one result for each seat and level, in the order of the seats. */
export async function takeTurns(seats: readonly Seat[], plan: TurnPlan): Promise<SeatResult[]> {
  const seated = await Promise.all(seats.map((seat) => turns.takeSeat(withLoads(seat))))
  try {
    await turns.takeTurns(seated, plan)
  } finally {
    await turns.leaveSeats(seated)
  }
  return seated.flatMap((one, at) => (seats[at] as Seat).inFlight.map((level) => resultOf(one, level)))
}

function withLoads({ inFlight, ...seat }: Seat): turns.Seat {
  return { ...seat, loads: inFlight.map((level) => ({ kind: 'closed', inFlight: level })) }
}

function resultOf({ seat, rounds: byLoad, notes, broken, retaken }: turns.Seated, inFlight: number): SeatResult {
  const load = `${inFlight} in flight`
  const rounds = byLoad.get(load) ?? []
  const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0)
  const firstFailure = rounds.find((round) => round.firstFailure !== undefined)?.firstFailure
  return {
    name: seat.name,
    inFlight,
    figures: rounds.length === 0 ? undefined : medianFigures(rounds),
    events: sum((round) => round.calls),
    wrong: sum((round) => round.wrong),
    failed: sum(({ failures }) => Object.values(failures).reduce((all, count) => all + count, 0)),
    note: broken?.message ?? firstFailure ?? notes.get(load),
    retaken: retaken.get(load) ?? 0,
  }
}
