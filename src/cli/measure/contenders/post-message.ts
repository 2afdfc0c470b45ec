/** Contender `postMessage`: a plain worker thread, one message for each event and each verdict, and a map of the callers. */
import { Worker } from 'node:worker_threads'
import type { Answer, Subject } from '../subject.js'
import { openEvents, type QuestionOptions } from './question.js'

/** The thread's first message says that it is ready. */
export interface WorkerMessage {
  readonly id: number
  readonly answer?: Answer
  readonly error?: string
}

interface Waiting {
  resolve(answer: Answer): void
  reject(error: Error): void
}

export async function open(question: QuestionOptions): Promise<Subject> {
  const worker = new Worker(new URL('./post-message-worker.js', import.meta.url), { workerData: question })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  const waiting = new Map<number, Waiting>()
  let nextId = 0
  worker.on('message', ({ id, answer, error }: WorkerMessage) => {
    if (answer === undefined) waiting.get(id)?.reject(new Error(error))
    else waiting.get(id)?.resolve(answer)
    waiting.delete(id)
  })
  return {
    ...(await openEvents(question)),
    ask: (event) =>
      new Promise((resolve, reject) => {
        const id = nextId++
        waiting.set(id, { resolve, reject })
        worker.postMessage({ id, event })
      }),
    close: async () => {
      await worker.terminate()
    },
  }
}
