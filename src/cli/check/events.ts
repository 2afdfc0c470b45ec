/** The events of a check: made up, or replayed. In the process that checks a plugin. */
import type { Contract } from '../../contracts/index.js'
import { generateEvents, replayEvents } from '../../testing/index.js'
import type { CheckQuestion, EventPlace } from './report.js'

export interface HookEvents {
  readonly hookpoint: string
  readonly events: readonly unknown[]
  /** Where the event of this index is to be found again. */
  place(index: number): EventPlace
  /** Why there are none, or fewer than there should be. */
  readonly note: string | null
}

/** @throws HookringError RECORDING_INVALID */
export async function eventsFor(
  contract: Contract,
  hookpoints: readonly string[],
  question: CheckQuestion,
): Promise<HookEvents[]> {
  if (question.replay !== undefined) return recorded(contract, hookpoints, question, question.replay)
  return hookpoints.map((hookpoint) => madeUp(contract, hookpoint, question))
}

function madeUp(contract: Contract, hookpoint: string, { events: count, seed }: CheckQuestion): HookEvents {
  const events: unknown[] = []
  let note: string | null = null
  try {
    const next = generateEvents(contract, hookpoint, { seed })
    while (events.length < count) events.push(next())
  } catch (error) {
    note = (error as Error).message
  }
  return { hookpoint, events, place: (index) => ({ index, seed }), note }
}

async function recorded(
  contract: Contract,
  hookpoints: readonly string[],
  { events: count }: CheckQuestion,
  file: string,
): Promise<HookEvents[]> {
  const found = new Map(hookpoints.map((hookpoint) => [hookpoint, { events: [] as unknown[], lines: [] as number[] }]))
  let missing = hookpoints.length * count
  for await (const { hookpoint, event, line } of replayEvents(file, { contract, allowTruncated: true })) {
    const list = found.get(hookpoint)
    if (list === undefined || list.events.length === count) continue
    list.events.push(event)
    list.lines.push(line)
    missing -= 1
    if (missing === 0) break
  }
  return [...found].map(([hookpoint, { events, lines }]) => ({
    hookpoint,
    events,
    place: (index) => ({ index, file, line: lines[index] as number }),
    note: events.length === 0 ? `${file} has no event of it` : null,
  }))
}
