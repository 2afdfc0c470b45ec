/** What happens to the cluster, and when: drawn from a seed and from nothing else. Pure. */
import { createRandom } from '../soak/plan.js'

export const FAULT_KINDS = [
  /** A node stands still for a shorter time than its TTL. */
  'stallShort',
  /** For a longer one: others take it for dead. */
  'stallLong',
  'killNode',
  'killRedis',
  'stallRedis',
  /** A subscriber's connection breaks, and it comes back to another node. */
  'moveSubscriber',
  'movePublisher',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

export interface Fault {
  readonly atMs: number
  readonly kind: FaultKind
  /** How long it lasts. */
  readonly ms: number
  /** Which node, subscriber or publisher: 0 to 1. */
  readonly which: number
  /** Where one that moves goes: 0 to 1. */
  readonly where: number
}

export const NODE_TTL_MS = 1_500

/** How often a kind comes in a round, and how long it lasts, in milliseconds: from, to. */
const SHAPES: Readonly<Record<FaultKind, { share: number; ms: readonly [number, number] }>> = {
  stallShort: { share: 3, ms: [100, NODE_TTL_MS - 500] },
  stallLong: { share: 2, ms: [NODE_TTL_MS + 500, NODE_TTL_MS + 2_000] },
  killNode: { share: 2, ms: [200, 2_500] },
  killRedis: { share: 1, ms: [200, 2_000] },
  stallRedis: { share: 2, ms: [200, 1_800] },
  moveSubscriber: { share: 8, ms: [0, 300] },
  movePublisher: { share: 4, ms: [0, 300] },
}

const PAUSE_MS: readonly [number, number] = [100, 900]

/** Without an end. Each kind comes in the first round. */
export function* planFaults(seed: number): Generator<Fault, never> {
  const random = createRandom(seed)
  const between = ([from, to]: readonly [number, number]) => Math.round(from + random.next() * (to - from))
  let atMs = 1_000
  for (;;) {
    const round = FAULT_KINDS.flatMap((kind) => Array.from({ length: SHAPES[kind].share }, () => kind))
    for (let left = round.length; left > 0; left -= 1) {
      const [kind] = round.splice(Math.floor(random.next() * left), 1) as [FaultKind]
      yield { atMs, kind, ms: between(SHAPES[kind].ms), which: random.next(), where: random.next() }
      atMs += between(PAUSE_MS)
    }
  }
}
