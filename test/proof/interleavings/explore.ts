/**
 * Enumerates schedules: each one with up to `bound` preemptions, once, those with fewer first. The trace of a run says
 * where other threads could have gone on; each such point after the schedule's last switch makes another schedule. Pure,
 * except for `run`.
 */
import { PHASE_BLOCKED } from './board.js'
import type { Schedule } from './schedule.js'

/** What the explorer needs of a point of a run. */
export interface Choice {
  readonly point: number
  readonly phase: number
  /** Threads that could have gone on, one bit each. */
  readonly mask: number
  /** The thread that did, or -1: the same as before. */
  readonly chosen: number
}

export interface Exploration {
  readonly schedules: number
  /** All schedules up to this many preemptions were run. */
  readonly bound: number
}

/** @param run runs a schedule and returns its choices in order; null: enough has been seen */
export async function explore(
  bound: number,
  run: (schedule: Schedule) => Promise<Iterable<Choice> | null>,
): Promise<Exploration> {
  let schedules = 0
  let level: Schedule[] = [[]]
  for (let preemptions = 0; preemptions <= bound; preemptions += 1) {
    const next: Schedule[] = []
    // The list grows while it is walked: where a thread must wait, letting another go on is not a preemption.
    for (let index = 0; index < level.length; index += 1) {
      const schedule = level[index] as Schedule
      const choices = await run(schedule)
      schedules += 1
      if (choices === null) return { schedules, bound: preemptions - 1 }
      const last = schedule.at(-1)?.point ?? -1
      for (const { point, phase, mask, chosen } of choices) {
        if (point <= last) continue
        const isFree = phase === PHASE_BLOCKED
        if (!isFree && preemptions === bound) continue
        for (let thread = 0, left = mask; left !== 0; thread += 1, left >>= 1) {
          if ((left & 1) === 0 || thread === chosen) continue
          ;(isFree ? level : next).push([...schedule, { point, thread }])
        }
      }
    }
    level = next
  }
  return { schedules, bound }
}
