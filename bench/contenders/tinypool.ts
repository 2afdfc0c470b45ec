/** Contender `tinypool`: one worker thread, 512 tasks at once, with and without Atomics, whichever is better at the level. */
import { Tinypool } from 'tinypool'
import { runClosedLoop, type Subject } from '../measure.js'
import { type DeliveryEvent, deliveryEvents } from './delivery-events.js'

const TRIAL_MS = 120

export async function open(): Promise<Subject<DeliveryEvent>> {
  const { events, rejects } = deliveryEvents()
  const pools = [true, false].map((useAtomics) => ({
    useAtomics,
    pool: new Tinypool({
      filename: new URL('./gate-worker.js', import.meta.url).href,
      runtime: 'worker_threads',
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 512,
      useAtomics,
    }),
  }))
  const subjectOf = ({ pool }: (typeof pools)[number]): Subject<DeliveryEvent> => ({
    events,
    rejects,
    ask: (event) => pool.run(event),
    close: async () => {},
  })
  type Choice = (typeof pools)[number]
  const best = new Map<number, Choice>()

  const choosePool = async (inFlight: number): Promise<Choice> => {
    let winner = pools[0] as Choice
    let winnerRate = 0
    for (const choice of pools) {
      await runClosedLoop(subjectOf(choice), inFlight, TRIAL_MS / 2)
      const { figures } = await runClosedLoop(subjectOf(choice), inFlight, TRIAL_MS)
      if (figures.eventsPerSecond <= winnerRate) continue
      winner = choice
      winnerRate = figures.eventsPerSecond
    }
    return winner
  }

  let ask = subjectOf(pools[0] as Choice).ask
  return {
    events,
    rejects,
    ask: (event) => ask(event),
    async prepare(inFlight) {
      const choice = best.get(inFlight) ?? (await choosePool(inFlight))
      best.set(inFlight, choice)
      ask = subjectOf(choice).ask
      return `useAtomics: ${choice.useAtomics}`
    },
    close: async () => {
      await Promise.all(pools.map(({ pool }) => pool.destroy()))
    },
  }
}
