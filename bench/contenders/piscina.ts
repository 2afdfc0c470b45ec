/**
 * Contender `piscina`: one worker thread, 512 tasks at once. Its three ways of waiting differ with the load, so all are
 * tried for each level, in turns, and the best one is measured.
 */
import { Piscina } from 'piscina'
import { median, runClosedLoop, type Subject } from '../measure.js'
import { type DeliveryEvent, deliveryEvents, type GateAnswer } from './delivery-events.js'

export const PISCINA_MODES = ['sync', 'async', 'disabled'] as const
export type PiscinaMode = (typeof PISCINA_MODES)[number]

export const CONCURRENT_TASKS = 512
const TRIAL_MS = 120
const TRIAL_ROUNDS = 2

export function openPool(mode: PiscinaMode, filename = new URL('./gate-worker.js', import.meta.url)): Piscina {
  const pool = new Piscina({
    filename: filename.href,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: CONCURRENT_TASKS,
    atomics: mode,
  })
  pool.on('error', () => {}) // tasks report their own
  return pool
}

export async function open(): Promise<Subject<DeliveryEvent>> {
  const { events, rejects } = deliveryEvents()
  const pools = new Map(PISCINA_MODES.map((mode) => [mode, openPool(mode)]))
  const best = new Map<number, PiscinaMode>()
  const subjectOf = (mode: PiscinaMode): Subject<DeliveryEvent> => {
    const pool = pools.get(mode) as Piscina
    return { events, rejects, ask: (event) => pool.run(event) as Promise<GateAnswer>, close: async () => {} }
  }

  const chooseMode = async (inFlight: number): Promise<PiscinaMode> => {
    const rates = new Map<PiscinaMode, number[]>(PISCINA_MODES.map((mode) => [mode, []]))
    for (const mode of PISCINA_MODES) await runClosedLoop(subjectOf(mode), inFlight, TRIAL_MS / 2)
    for (let round = 0; round < TRIAL_ROUNDS; round++) {
      for (const mode of PISCINA_MODES) {
        const { figures } = await runClosedLoop(subjectOf(mode), inFlight, TRIAL_MS)
        rates.get(mode)?.push(figures.eventsPerSecond)
      }
    }
    return PISCINA_MODES.reduce((a, b) => (median(rates.get(b) ?? []) > median(rates.get(a) ?? []) ? b : a))
  }

  let ask = subjectOf('sync').ask
  return {
    events,
    rejects,
    ask: (event) => ask(event),
    async prepare(inFlight) {
      const mode = best.get(inFlight) ?? (await chooseMode(inFlight))
      best.set(inFlight, mode)
      ask = subjectOf(mode).ask
      return `atomics: '${mode}'`
    },
    close: async () => {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
    },
  }
}
