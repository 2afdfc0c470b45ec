/** The worker of contender `postMessage`. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Answer } from '../subject.js'
import type { WorkerMessage } from './post-message.js'
import { openWork, type QuestionOptions } from './question.js'

const work = await openWork(workerData as QuestionOptions)
const post = (message: WorkerMessage) => parentPort?.postMessage(message)
const refuse = (id: number, error: unknown) =>
  post({ id, error: error instanceof Error ? error.message : String(error) })

parentPort?.on('message', ({ id, event }: { id: number; event: unknown }) => {
  try {
    const answer = work(event)
    if ('then' in answer)
      answer.then(
        (settled: Answer) => post({ id, answer: settled }),
        (error: unknown) => refuse(id, error),
      )
    else post({ id, answer })
  } catch (error) {
    refuse(id, error)
  }
})
post({ id: -1 })
