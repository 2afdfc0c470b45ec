/** Contender `comlink`: the work as a remote function behind comlink's proxies. */
import { Worker } from 'node:worker_threads'
import type { Answer, Subject } from '../subject.js'
import { importComlink } from './comlink-package.js'
import { openEvents, type QuestionOptions } from './question.js'

export async function open(question: QuestionOptions): Promise<Subject> {
  const { comlink, nodeEndpoint } = await importComlink()
  const worker = new Worker(new URL('./comlink-worker.js', import.meta.url), { workerData: question })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  const work = comlink.wrap(nodeEndpoint(worker)) as ((event: unknown) => Promise<Answer>) & Record<symbol, () => void>
  return {
    ...(await openEvents(question)),
    ask: (event) => work(event),
    close: async () => {
      work[comlink.releaseProxy]?.()
      await worker.terminate()
    },
  }
}
