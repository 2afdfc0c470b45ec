/**
 * Mistakes that somebody could make in the ring or in the lanes' code, as patches of what is built. Each must be caught by
 * a scenario; the ones named are tried first, then all others.
 */
import { LANE_MUTANTS } from './mutants-lanes.js'
import { RING_MUTANTS } from './mutants-ring.js'
import type { Mutant } from './patched-copy.js'

export const MUTANTS: readonly Mutant[] = [...RING_MUTANTS, ...LANE_MUTANTS]
