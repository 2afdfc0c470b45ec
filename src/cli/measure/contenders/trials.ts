/**
 * Finds the best way of waiting for pools that have several. The best one depends on the load, so all are tried in turns
 * at each level.
 */
import { runRound } from '../rounds.js'
import type { Answer, Events, Subject } from '../subject.js'

const TRIAL_MS = 120
const TRIAL_ROUNDS = 2

/** One way for the pool to wait. */
export interface Setting {
  /** For the report. */
  readonly note: string
  ask(event: unknown): PromiseLike<Answer>
}

/** A subject whose `prepare` chooses the setting with the most events per second. */
export function bestOf(settings: readonly Setting[], events: Events, close: () => Promise<void>): Subject {
  const best = new Map<number, Setting>()
  let chosen = settings[0] as Setting
  const rate = async ({ ask }: Setting, inFlight: number, trialMs: number): Promise<number> => {
    const { calls, elapsedMs } = await runRound({ ...events, ask, close }, { kind: 'closed', inFlight }, trialMs)
    return calls / elapsedMs
  }

  async function choose(inFlight: number): Promise<Setting> {
    const sums = settings.map(() => 0)
    for (const setting of settings) await rate(setting, inFlight, TRIAL_MS / 2)
    for (let round = 0; round < TRIAL_ROUNDS; round++) {
      for (const [index, setting] of settings.entries()) sums[index]! += await rate(setting, inFlight, TRIAL_MS)
    }
    return settings[sums.indexOf(Math.max(...sums))] as Setting
  }

  return {
    ...events,
    ask: (event) => chosen.ask(event),
    async prepare(inFlight) {
      chosen = best.get(inFlight) ?? (await choose(inFlight))
      best.set(inFlight, chosen)
      return chosen.note
    },
    close,
  }
}
