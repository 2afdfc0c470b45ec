/** Contender `piscina`: one worker thread, 512 tasks at once, in the best of its three ways of waiting. */
import { importPackage } from '../packages.js'
import type { Answer, Subject } from '../subject.js'
import { openEvents, type QuestionOptions } from './question.js'
import { bestOf } from './trials.js'

interface Pool {
  run(task: unknown): Promise<Answer>
  on(event: 'error', listener: () => void): void
  destroy(): Promise<void>
}

const PISCINA_MODES = ['sync', 'async', 'disabled'] as const
export const CONCURRENT_TASKS = 512

export async function open(question: QuestionOptions): Promise<Subject> {
  const { Piscina } = await importPackage<{ Piscina: new (options: object) => Pool }>('piscina')
  const pools = PISCINA_MODES.map((atomics) => {
    const pool = new Piscina({
      filename: new URL('./work-worker.js', import.meta.url).href,
      workerData: question,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: CONCURRENT_TASKS,
      atomics,
    })
    pool.on('error', () => {}) // tasks report their own
    return { pool, note: `atomics: '${atomics}'`, ask: (event: unknown) => pool.run(event) }
  })
  return bestOf(pools, await openEvents(question), async () => {
    await Promise.all(pools.map(({ pool }) => pool.destroy()))
  })
}
