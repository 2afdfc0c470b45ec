/**
 * What the demo runs, in which order and for how long. Plain values and arithmetic; for main.ts, story-process.ts and the
 * tests.
 */
import { HOOKS, type HookName, SLEEP_MS } from '../../bench/rpc/misbehave.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import type { Slice, StoryPlan } from '../../bench/rpc/story.js'

export interface DemoRequest {
  readonly modes: readonly ModeName[]
  readonly plan: StoryPlan
}

/**
 * A little over 20 s. Several short slices say more than one long one: a median leaves out what the machine did to some
 * of them. What is deadly comes last: no server is started after it.
 */
export const USUAL: StoryPlan = {
  fast: { slices: 2, sliceMs: 250 },
  sleeps: { slices: 4, sliceMs: 400 },
  throws: { slices: 2, sliceMs: 250 },
  spins: { slices: 2, sliceMs: 500 },
}
/** Enough to see the shape, not to compare latencies. */
export const QUICK: StoryPlan = {
  fast: { slices: 1, sliceMs: 250 },
  sleeps: { slices: 1, sliceMs: 300 },
  throws: { slices: 1, sliceMs: 250 },
  spins: { slices: 1, sliceMs: 500 },
}

/** Each mode right after its yardstick; `inline` last, since its server has to be started again once it has died. */
export function runOrder({ hasPiscina }: { hasPiscina: boolean }): ModeName[] {
  return hasPiscina ? ['none', 'hookring', 'piscina', 'inline'] : ['none', 'hookring', 'inline']
}

/** From no hook to the best kept one: how the table reads. */
export function tableOrder({ hasPiscina }: { hasPiscina: boolean }): ModeName[] {
  return hasPiscina ? ['none', 'inline', 'piscina', 'hookring'] : ['none', 'inline', 'hookring']
}

/** What the hook does, in words. */
export const HOOK_WORDS: Readonly<Record<HookName, string>> = {
  fast: 'does what it should',
  sleeps: `blocks its thread for ${SLEEP_MS} ms on 1 call in 50`,
  spins: 'loops for ever on one marked call of each slice',
  throws: 'throws on 1 call in 20',
}

/** Slices that are still to come: a server that died with a hook has no more slices with it. */
export function slicesToCome({ modes, plan }: DemoRequest, told: readonly Slice[], unavailable: readonly ModeName[]) {
  let count = 0
  for (const hook of HOOKS) {
    for (const mode of modes) {
      if (unavailable.includes(mode)) continue
      const own = told.filter((slice) => slice.hook === hook && slice.mode === mode)
      if (own.some((slice) => slice.died !== undefined)) continue
      count += Math.max(0, plan[hook].slices - own.length)
    }
  }
  return count
}
