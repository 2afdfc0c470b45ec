/**
 * Mistakes that somebody could make in the code of ring or lanes, as patches of the build. A scenario must catch each of
 * them; those named in `first` are tried first, then all others.
 */
import { LANE_MUTANTS } from './mutants-lanes.js'
import { RING_MUTANTS } from './mutants-ring.js'
import type { Mutant } from './patched-copy.js'

export const MUTANTS: readonly Mutant[] = [...RING_MUTANTS, ...LANE_MUTANTS]
