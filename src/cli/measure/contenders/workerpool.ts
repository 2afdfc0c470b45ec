/** Contender `workerpool`: one worker thread. It gives a worker one task at a time; the rest wait in its queue. */
import { fileURLToPath } from 'node:url'
import { importPackage } from '../packages.js'
import type { Answer, Subject } from '../subject.js'
import { openEvents, type QuestionOptions } from './question.js'

export interface Workerpool {
  pool(
    script: string,
    options: object,
  ): {
    exec(method: string, args: readonly unknown[]): PromiseLike<Answer>
    terminate(force: boolean): PromiseLike<void>
  }
  worker(methods: Record<string, unknown>): void
}

export async function open(question: QuestionOptions): Promise<Subject> {
  const workerpool = await importPackage<Workerpool>('workerpool')
  const pool = workerpool.pool(fileURLToPath(new URL('./workerpool-worker.js', import.meta.url)), {
    workerType: 'thread',
    minWorkers: 1,
    maxWorkers: 1,
    workerThreadOpts: { workerData: question },
  })
  return {
    ...(await openEvents(question)),
    ask: (event) => pool.exec('work', [event]),
    close: async () => {
      await pool.terminate(true)
    },
  }
}
