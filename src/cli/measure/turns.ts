/**
 * Gives each subject a process of its own and lets them take turns in short rounds: A B C A B C. Each process has its own
 * heap, compiled code and threads, so no subject pays for another, and the machine's drift affects all alike. Called on
 * the main thread of whoever measures.
 */
import { type AskedProcess, startProcess } from './ask-process.js'
import type { ProgressLine } from './progress-line.js'
import type { RoundControl } from './rounds.js'
import { type Load, loadText, type MemorySample, type Round } from './subject.js'
import type { SubjectRequest } from './subject-process.js'

/** A subject to seat: `module` is the URL of a module that exports `open`, `options` is plain data. */
export interface Seat {
  readonly name: string
  readonly module: URL
  readonly options: unknown
  readonly loads: readonly Load[]
}

export interface TurnPlan {
  readonly rounds: number
  readonly roundMs: number
  readonly warmUpMs: number
  readonly progress: Pick<ProgressLine, 'step'>
  /** Ends the turns early, with the rounds so far. */
  readonly control?: TurnControl
}

/** Ends what is under way; what must be told listens. */
export interface TurnControl extends RoundControl {
  onStop: () => void
}

/** A subject in its process. */
export interface Seated {
  readonly seat: Seat
  readonly process: AskedProcess
  /** By the text of the load. */
  readonly rounds: Map<string, Round[]>
  readonly notes: Map<string, string>
  /** What the subject said of itself when it was opened. */
  about: unknown
  /** Why the subject is out for the rest of the run. */
  broken: BrokenSubject | undefined
  memory: MemorySample | undefined
  /** Rounds that were taken again because the machine's neighbours took too much of it, by the text of the load. */
  readonly retaken: Map<string, number>
}

export interface BrokenSubject {
  readonly message: string
  readonly code: string | undefined
}

const OPEN_TIMEOUT_MS = 20_000
const ANSWER_TIMEOUT_MS = 8_000
const CLOSE_TIMEOUT_MS = 3_000
/** If more of the CPU time than this was stolen, the round is taken again, and the less disturbed of the two counts. */
const DISTURBED_SHARE = 0.05
/** The share of the planned rounds that may be taken again: on a machine that is always shared, the run must end too. */
const RETAKEN_SHARE = 0.15

/** How many steps takeTurns reports. */
export function countSteps(seats: readonly Seat[], plan: Pick<TurnPlan, 'rounds'>): number {
  return seats.reduce((sum, seat) => sum + seat.loads.length, 0) * (plan.rounds + 1)
}

/** Starts the subject's process and opens the subject. If it cannot be opened, it is seated as broken. */
export async function takeSeat(seat: Seat): Promise<Seated> {
  const one = seatIn(seat, startProcess(new URL('./subject-process.js', import.meta.url)))
  one.about = await ask(one, { kind: 'open', module: seat.module.href, options: seat.options }, OPEN_TIMEOUT_MS)
  return one
}

/** The seat of a subject that has not been asked anything yet. */
export function seatIn(seat: Seat, process: AskedProcess): Seated {
  return {
    seat,
    process,
    rounds: new Map(),
    notes: new Map(),
    about: undefined,
    broken: undefined,
    memory: undefined,
    retaken: new Map(),
  }
}

/** Closes the subjects and ends their processes. */
export async function leaveSeats(all: readonly Seated[]): Promise<void> {
  await Promise.all(
    all.map(async (one) => {
      await ask(one, { kind: 'close' }, CLOSE_TIMEOUT_MS)
      await one.process.end()
    }),
  )
}

/** Warms all subjects up, then runs the rounds; the results are in the seats. */
export async function takeTurns(all: readonly Seated[], plan: TurnPlan): Promise<void> {
  const { control } = plan
  if (control !== undefined) control.onStop = () => all.forEach((one) => void one.process.hurry())
  const loads = distinctLoads(all.flatMap(({ seat }) => seat.loads))
  const turns = (load: Load): Seated[] => all.filter(({ seat }) => seat.loads.some((own) => isSame(own, load)))
  for (const load of loads) {
    for (const one of turns(load)) if (!control?.isStopped) await warmUp(one, load, plan)
  }
  let retakes = Math.floor(all.reduce((sum, { seat }) => sum + seat.loads.length, 0) * plan.rounds * RETAKEN_SHARE)
  for (let round = 0; round < plan.rounds; round++) {
    for (const load of loads) {
      for (const one of turns(load)) {
        if (control?.isStopped) break
        plan.progress.step(`round ${round + 1}/${plan.rounds}, ${loadText(load)}: ${one.seat.name}`)
        let take = await takeRound(one, load, plan.roundMs)
        if (retakes > 0 && isDisturbed(take) && !control?.isStopped) {
          retakes -= 1
          one.retaken.set(loadText(load), (one.retaken.get(loadText(load)) ?? 0) + 1)
          take = betterTake(take, await takeRound(one, load, plan.roundMs))
        }
        keepRound(one, load, take)
      }
    }
  }
  for (const one of all) one.memory = await ask<MemorySample>(one, { kind: 'memory' }, ANSWER_TIMEOUT_MS)
}

async function warmUp(one: Seated, load: Load, { warmUpMs, progress }: TurnPlan): Promise<void> {
  progress.step(`warming up, ${loadText(load)}: ${one.seat.name}`)
  const note = await ask<string>(one, { kind: 'prepare', load }, ANSWER_TIMEOUT_MS)
  if (note !== undefined) one.notes.set(loadText(load), note)
  await ask(one, { kind: 'run', load, roundMs: warmUpMs }, warmUpMs + ANSWER_TIMEOUT_MS)
}

/** Runs one round. undefined: the subject is, or has become, broken. */
export async function takeTurn(one: Seated, load: Load, roundMs: number): Promise<Round | undefined> {
  const round = await takeRound(one, load, roundMs)
  keepRound(one, load, round)
  return round
}

/** The text about rounds that were taken again; undefined: there were none. */
export function retakenText(count: number): string | undefined {
  if (count === 0) return undefined
  return `taken again: ${count} rounds in which the machine's neighbours had more than ${DISTURBED_SHARE * 100} % of its CPU time`
}

export function countRetaken(all: readonly Seated[]): number {
  return all.reduce((sum, { retaken }) => [...retaken.values()].reduce((own, count) => own + count, sum), 0)
}

function takeRound(one: Seated, load: Load, roundMs: number): Promise<Round | undefined> {
  return ask<Round>(one, { kind: 'run', load, roundMs }, roundMs + ANSWER_TIMEOUT_MS)
}

function keepRound(one: Seated, load: Load, round: Round | undefined): void {
  if (round === undefined) return
  const rounds = one.rounds.get(loadText(load))
  if (rounds === undefined) one.rounds.set(loadText(load), [round])
  else rounds.push(round)
}

/** A round with a failure is never thrown away. */
function isDisturbed(round: Round | undefined): boolean {
  return round !== undefined && !hasFaults(round) && (round.stolenShare ?? 0) > DISTURBED_SHARE
}

/** Which of two takes counts, when the first was disturbed. */
function betterTake(first: Round | undefined, second: Round | undefined): Round | undefined {
  if (first === undefined || second === undefined) return first ?? second
  return hasFaults(second) || (second.stolenShare ?? 0) < (first.stolenShare ?? 0) ? second : first
}

function hasFaults({ wrong, failures }: Round): boolean {
  return wrong > 0 || Object.keys(failures).length > 0
}

/** A subject that fails or falls silent is out for the rest of the run; the others go on. */
async function ask<Answer>(one: Seated, request: SubjectRequest, timeoutMs: number): Promise<Answer | undefined> {
  if (one.broken !== undefined) return undefined
  try {
    return await one.process.ask<Answer | undefined>(request, timeoutMs)
  } catch (error) {
    const { message, code } = error as { message: string; code?: string }
    one.broken = { message, code }
    return undefined
  }
}

function distinctLoads(loads: readonly Load[]): Load[] {
  const size = (load: Load): number => (load.kind === 'closed' ? load.inFlight : load.ratePerSecond)
  const byText = new Map(loads.map((load) => [loadText(load), load]))
  return [...byText.values()].sort((a, b) => size(a) - size(b))
}

function isSame(a: Load, b: Load): boolean {
  return loadText(a) === loadText(b)
}
