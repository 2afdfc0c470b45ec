/** Contender `inline`: the work as a plain async function on the server's own thread. No isolation; the lower bound. */
import type { Subject } from '../subject.js'
import { openEvents, openWork, type QuestionOptions } from './question.js'

export async function open(question: QuestionOptions): Promise<Subject> {
  const work = await openWork(question)
  return {
    ...(await openEvents(question)),
    ask: async (event) => work(event),
    close: async () => {},
  }
}
