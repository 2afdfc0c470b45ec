/** The events that the plugins are asked about: generated from the contract's schema, or replayed from a recording. */
import type { Contract } from '../../contracts/index.js'
import { HookringError } from '../../index.js'
import { generateEvents, replayEvents } from '../../testing/index.js'
import type { Question } from './plan.js'

/** Enough for variety, few enough to stay in memory. */
const MADE_UP = 1024
const REPLAYED_AT_MOST = 65_536

/** @throws HookringError EVENT_NOT_GENERATED; what reading a recording throws */
export async function eventsFor(contract: Contract, hookpoint: string, question: Question): Promise<unknown[]> {
  if (question.replay !== undefined) return replayed(contract, hookpoint, question.replay)
  const next = generateEvents(contract, hookpoint, { seed: question.seed })
  return Array.from({ length: MADE_UP }, () => next())
}

async function replayed(contract: Contract, hookpoint: string, file: string): Promise<unknown[]> {
  const events: unknown[] = []
  for await (const { event } of replayEvents(file, { contract, hookpoint })) {
    events.push(event)
    if (events.length === REPLAYED_AT_MOST) break
  }
  if (events.length > 0) return events
  throw new HookringError('OPTIONS_INVALID', `--replay: ${file} has no events of ${hookpoint}`)
}
