/**
 * Schedules: which thread goes on where. A schedule is a list of switches; elsewhere a thread runs until it must wait,
 * and then the next one that can. Its id has the scenario's name and the switches, as in `claim-vs-recall:17w.24h`: at
 * point 17 the worker goes on, at point 24 the host. Pure.
 */
import { MOST_SWITCHES, THREAD_NAMES } from './board.js'

export interface Switch {
  readonly point: number
  readonly thread: number
}

export type Schedule = readonly Switch[]

/** A schedule without switches. */
const STRAIGHT = 'straight'

export function formatSchedule(scenario: string, schedule: Schedule): string {
  const switches = schedule.map(({ point, thread }) => `${point}${THREAD_NAMES[thread]}`)
  return `${scenario}:${switches.length === 0 ? STRAIGHT : switches.join('.')}`
}

/** null: it is not the id of a schedule. */
export function parseSchedule(id: string): { scenario: string; schedule: Schedule } | null {
  const colon = id.lastIndexOf(':')
  if (colon <= 0) return null
  const scenario = id.slice(0, colon)
  const text = id.slice(colon + 1)
  if (text === STRAIGHT) return { scenario, schedule: [] }
  const schedule: Switch[] = []
  for (const part of text.split('.')) {
    const match = /^(\d+)([a-z])$/.exec(part)
    const thread = (THREAD_NAMES as readonly string[]).indexOf(match?.[2] ?? '')
    if (match === null || thread === -1) return null
    const point = Number(match[1])
    if (point <= (schedule.at(-1)?.point ?? -1)) return null
    schedule.push({ point, thread })
  }
  return schedule.length > MOST_SWITCHES ? null : { scenario, schedule }
}
