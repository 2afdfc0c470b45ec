/**
 * What is to go wrong, and when: drawn from a seed ahead of time and from nothing else, so that runs with one seed plan
 * the same faults. Pure.
 */
import { CASTS, kindOf, type Role } from './roles.js'

export const FAULT_KINDS = [
  // Of a hook, for a call made for the purpose.
  'throw',
  'hang',
  'spin',
  'exit',
  'heapOverflow',
  'unhandledRejection',
  'uncaughtException',
  'memoryGrowth',
  'badReply',
  'lateReply',
  // Of a plugin's life.
  'slowStart',
  'failedStart',
  'reload',
  'failedReload',
  'add',
  'remove',
  'quarantine',
  'recreate',
  // Of the server.
  'abort',
  'callerTimeout',
  'badEvent',
  'queueOverflow',
  'mainThreadStall',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

export interface Fault {
  readonly atMs: number
  readonly kind: FaultKind
  readonly engine: string
  readonly plugin: string
  /** Of the plugin. */
  readonly hookpoint: string
  /** Calls, or failures in a row. */
  readonly count: number
  /** How long it lasts. */
  readonly ms: number
  /** Which way of several, 0 to 1. */
  readonly way: number
}

/** How often a kind comes in a round of faults, how many calls and milliseconds it takes: from, to. */
const SHAPES: Readonly<
  Record<FaultKind, { share: number; count?: readonly [number, number]; ms?: readonly [number, number] }>
> = {
  throw: { share: 5, count: [1, 12] },
  hang: { share: 4, count: [1, 3] },
  spin: { share: 4 },
  exit: { share: 4 },
  heapOverflow: { share: 2 },
  unhandledRejection: { share: 3, count: [1, 8] },
  uncaughtException: { share: 3, count: [1, 8] },
  memoryGrowth: { share: 3, count: [20, 120] },
  badReply: { share: 4, count: [1, 12] },
  lateReply: { share: 4, count: [1, 6] },
  slowStart: { share: 3, ms: [200, 1_500] },
  failedStart: { share: 2, count: [1, 3] },
  reload: { share: 5 },
  failedReload: { share: 3 },
  add: { share: 3 },
  remove: { share: 3 },
  quarantine: { share: 4, ms: [100, 1_500] },
  recreate: { share: 3 },
  abort: { share: 5, count: [10, 60], ms: [0, 30] },
  callerTimeout: { share: 3, count: [5, 30], ms: [1, 40] },
  badEvent: { share: 2, count: [1, 10] },
  queueOverflow: { share: 4, count: [600, 1_400] },
  mainThreadStall: { share: 4, ms: [50, 300] },
}

/** Mean time from one fault to the next. */
export const FAULT_EVERY_MS = 350
const LEAST_PAUSE_MS = 20

export interface Random {
  /** From 0 up to 1. */
  next(): number
  /** A whole number, both ends included. */
  between(from: number, to: number): number
  pick<T>(list: readonly T[]): T
}

/** Mulberry32: 32 bits of state, plenty for choosing faults. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from + 1))
  return { next, between, pick: (list) => list[between(0, list.length - 1)] as (typeof list)[number] }
}

/** The faults of a run, one after the other, without end. The first round has one of each kind. */
export function* planFaults(seed: number): Generator<Fault, never> {
  const random = createRandom(seed)
  let bag: FaultKind[] = []
  let isFirst = true
  let atMs = 0
  for (;;) {
    if (bag.length === 0) {
      bag = shuffled(
        FAULT_KINDS.flatMap((kind) => new Array<FaultKind>(isFirst ? 1 : SHAPES[kind].share).fill(kind)),
        random,
      )
      isFirst = false
    }
    atMs += LEAST_PAUSE_MS + Math.round(-Math.log(1 - random.next()) * (FAULT_EVERY_MS - LEAST_PAUSE_MS))
    yield faultOf(bag.pop() as FaultKind, atMs, random)
  }
}

interface Target {
  readonly engine: string
  readonly role: Role
}

function faultOf(kind: FaultKind, atMs: number, random: Random): Fault {
  const { engine, role } = random.pick(targetsOf(kind))
  const { count = [1, 1], ms = [0, 0] } = SHAPES[kind]
  return {
    atMs,
    kind,
    engine,
    plugin: role.name,
    hookpoint: random.pick(hooksFor(kind, engine, role)),
    count: random.between(...count),
    ms: random.between(...ms),
    way: random.next(),
  }
}

const ALL: readonly Target[] = CASTS.flatMap(({ name, roles }) => roles.map((role) => ({ engine: name, role })))
/** Plugins that do as they are told, and are always there. */
const OWN = ALL.filter(({ role }) => role.column !== null && role.isGuest !== true)
/** What they leak ends with their lanes, soon: the memory of the run is to be that of the engines. */
const LIMITED = OWN.filter(({ role }) => role.options?.limits?.memoryMb !== undefined)

function targetsOf(kind: FaultKind): readonly Target[] {
  switch (kind) {
    case 'heapOverflow':
      // In one go, by one who has time for it.
      return LIMITED.filter(({ role }) => role.timeoutMs !== undefined)
    case 'memoryGrowth':
      return LIMITED
    case 'badReply':
    case 'abort':
    case 'callerTimeout':
    case 'badEvent':
      return OWN.filter(({ engine, role }) => hooksFor(kind, engine, role).length > 0)
    case 'add':
    case 'remove':
      return ALL.filter(({ role }) => role.isGuest === true)
    case 'quarantine':
      return OWN.filter(({ engine }) => !isRecreated(engine))
    case 'recreate':
      return OWN.filter(({ engine }) => isRecreated(engine))
    default:
      return OWN
  }
}

/** Observations answer nothing, and cannot be ended by their caller. */
const ASKING: ReadonlySet<FaultKind> = new Set(['badReply', 'abort', 'callerTimeout', 'badEvent'])

function hooksFor(kind: FaultKind, engine: string, { hooks }: Role): readonly string[] {
  const cast = CASTS.find(({ name }) => name === engine)
  if (!ASKING.has(kind) || cast === undefined) return hooks
  return hooks.filter((hookpoint) => kindOf(cast, hookpoint) !== 'observe')
}

function isRecreated(engine: string): boolean {
  return CASTS.find(({ name }) => name === engine)?.isRecreated === true
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const result = [...list]
  for (let at = result.length - 1; at > 0; at--) {
    const other = random.between(0, at)
    ;[result[at], result[other]] = [result[other] as T, result[at] as T]
  }
  return result
}
