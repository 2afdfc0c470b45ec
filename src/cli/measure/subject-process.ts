/**
 * The process of one subject, started by turns.ts. It opens the subject that it is told to, and runs rounds on request.
 * Its main thread is the host thread that is measured.
 */
import { answerRequests } from './ask-process.js'
import { type RoundControl, runRound } from './rounds.js'
import type { Load, MemorySample, Subject, SubjectModule } from './subject.js'

/** In this order, the answers are: what the subject says of itself, a note or undefined, a Round, a MemorySample, nothing. */
export type SubjectRequest =
  | { readonly kind: 'open'; readonly module: string; readonly options: unknown }
  | { readonly kind: 'prepare'; readonly load: Load }
  | { readonly kind: 'run'; readonly load: Load; readonly roundMs: number }
  | { readonly kind: 'memory' }
  | { readonly kind: 'close' }

const MIB = 2 ** 20
/** How many calls at once a pool must be ready for when calls come by the clock. */
const OPEN_LOOP_LEVEL = 64

let subject: Subject | undefined
let rssBeforeMb = 0
let control: RoundControl = { isStopped: false }

answerRequests(
  async (request: SubjectRequest): Promise<unknown> => {
    if (request.kind === 'open') {
      const module = (await import(request.module)) as SubjectModule
      rssBeforeMb = process.memoryUsage.rss() / MIB
      subject = await module.open(request.options)
      return subject.about
    }
    if (subject === undefined) throw new Error('no subject is open')
    switch (request.kind) {
      case 'prepare':
        return subject.prepare?.(levelOf(request.load))
      case 'run':
        control = { isStopped: false }
        await subject.prepare?.(levelOf(request.load))
        return runRound(subject, request.load, request.roundMs, control)
      case 'memory':
        return sampleMemory()
      case 'close':
        return subject.close()
    }
  },
  () => {
    control.isStopped = true
  },
)
// Ctrl-C reaches every process of the terminal. The process that started this one decides what happens to it.
process.on('SIGINT', () => {})

function levelOf(load: Load): number {
  return load.kind === 'closed' ? load.inFlight : OPEN_LOOP_LEVEL
}

function sampleMemory(): MemorySample {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  return {
    rssMb: rss / MIB,
    heapMb: heapUsed / MIB,
    buffersMb: arrayBuffers / MIB,
    grownMb: rss / MIB - rssBeforeMb,
  }
}
