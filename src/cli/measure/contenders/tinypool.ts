/** Contender `tinypool`: one worker thread, 512 tasks at once, with and without Atomics, whichever is better at the level. */
import { importPackage } from '../packages.js'
import type { Answer, Subject } from '../subject.js'
import { CONCURRENT_TASKS } from './piscina.js'
import { openEvents, type QuestionOptions } from './question.js'
import { bestOf } from './trials.js'

interface Pool {
  run(task: unknown): Promise<Answer>
  destroy(): Promise<void>
}

export async function open(question: QuestionOptions): Promise<Subject> {
  const { Tinypool } = await importPackage<{ Tinypool: new (options: object) => Pool }>('tinypool')
  const pools = [true, false].map((useAtomics) => {
    const pool = new Tinypool({
      filename: new URL('./work-worker.js', import.meta.url).href,
      runtime: 'worker_threads',
      workerData: question,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: CONCURRENT_TASKS,
      useAtomics,
    })
    return { pool, note: `useAtomics: ${useAtomics}`, ask: (event: unknown) => pool.run(event) }
  })
  return bestOf(pools, await openEvents(question), async () => {
    await Promise.all(pools.map(({ pool }) => pool.destroy()))
  })
}
