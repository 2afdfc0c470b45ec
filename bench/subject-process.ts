/**
 * The process of one subject, started by turns.ts. It opens the subject that it is told to and runs rounds on request.
 * The process's main thread is the host thread that is measured.
 */
import { answerRequests } from './ask-process.js'
import { runClosedLoop, type Subject } from './measure.js'

/** Answered with: nothing, a note (or undefined), a Round, nothing. */
export type SubjectRequest =
  | { readonly kind: 'open'; readonly module: string; readonly options: unknown }
  | { readonly kind: 'prepare'; readonly inFlight: number }
  | { readonly kind: 'run'; readonly inFlight: number; readonly roundMs: number }
  | { readonly kind: 'close' }

/** What a subject's module exports. */
export interface SubjectModule {
  open(options: unknown): Promise<Subject>
}

let subject: Subject | undefined

answerRequests(async (request: SubjectRequest): Promise<unknown> => {
  if (request.kind === 'open') {
    const module = (await import(request.module)) as SubjectModule
    subject = await module.open(request.options)
    return undefined
  }
  if (subject === undefined) throw new Error('no subject is open')
  switch (request.kind) {
    case 'prepare':
      return subject.prepare?.(request.inFlight)
    case 'run':
      await subject.prepare?.(request.inFlight)
      return runClosedLoop(subject, request.inFlight, request.roundMs)
    case 'close':
      return subject.close()
  }
})
