/**
 * The siege's calls: what is asked each millisecond, and what becomes of every verdict. The neighbours' own calls are
 * timed; all verdicts are judged one by one; no call may outlast its deadline.
 */
import type { HookEngine } from 'hookring'
import type { SiegePoints } from './contract.mjs'
import { type WindowKind, WindowSamples } from './figures.js'
import {
  type AnyVerdict,
  type Asked,
  isTaken,
  type Judge,
  judgeMixedGate,
  judgeMixedTransform,
  judgeNorth,
  judgeOwn,
  judgeSouth,
} from './judge.js'
import type { Random } from './orders.mjs'

/** Of a plugin of the attackers', who are two in a hop. */
export const ATTACKER_TIMEOUT_MS = 60
export const NEIGHBOUR_TIMEOUT_MS = 2_000
/** A call that has not settled this long after the last moment at which it had to is one that hangs. */
export const SLACK_MS = 1_000
/** The attackers' queue is no subject here: it is kept from overflowing. */
const MAX_UNDER_WAY = 240
const EXAMPLES = 10

type Hookpoint = Exclude<keyof SiegePoints, 'onObserve'>

const OWN_LIMIT_MS = 2 * ATTACKER_TIMEOUT_MS
const MIXED_LIMIT_MS = OWN_LIMIT_MS + 2 * NEIGHBOUR_TIMEOUT_MS
const JUDGES: Readonly<Record<Hookpoint, { judge: Judge; limitMs: number }>> = {
  onGate: { judge: judgeOwn, limitMs: OWN_LIMIT_MS },
  onTransform: { judge: judgeOwn, limitMs: OWN_LIMIT_MS },
  onRespond: { judge: judgeOwn, limitMs: OWN_LIMIT_MS },
  onMixedGate: { judge: judgeMixedGate, limitMs: MIXED_LIMIT_MS },
  onMixedParallel: { judge: judgeMixedGate, limitMs: MIXED_LIMIT_MS },
  onMixedTransform: { judge: judgeMixedTransform, limitMs: MIXED_LIMIT_MS },
  onNorth: { judge: judgeNorth, limitMs: NEIGHBOUR_TIMEOUT_MS },
  onSouth: { judge: judgeSouth, limitMs: NEIGHBOUR_TIMEOUT_MS },
}
/** What the attackers are asked, by share. */
const FODDER: readonly (readonly [share: number, hookpoint: keyof SiegePoints])[] = [
  [0.45, 'onGate'],
  [0.65, 'onTransform'],
  [0.85, 'onRespond'],
  [0.9, 'onObserve'],
  [0.94, 'onMixedGate'],
  [0.97, 'onMixedParallel'],
  [1, 'onMixedTransform'],
]

interface UnderWay {
  readonly hookpoint: Hookpoint
  readonly sinceMs: number
}

export interface Traffic {
  /** Calls to the attackers in each millisecond; 0 stops them. */
  fodder: number
  /** What the neighbours' calls and the loop's delays of the moment count for. */
  window: WindowKind
  /** Set while the attacker carries replies from call to call by itself. */
  movesBytes: boolean
  /** The attack is in force: what the attackers complete is hostile. */
  isHostile: boolean
  /** Hostile completions that have decided a call. */
  readonly taken: number
  readonly neighbourVerdicts: number
  readonly wrongVerdicts: number
  readonly wrongVerdictsFound: readonly string[]
  /** Calls to the attackers that have not settled. */
  readonly ownUnderWay: number
  readonly samples: Readonly<Record<'undisturbed' | 'disturbed', WindowSamples>>
  /** What the last order came to, in words. */
  readonly lastOrder: string
  /** Tells the attacker to begin. */
  order(attack: string, seed: number): void
  /** Resolves at the next millisecond. */
  tick(): Promise<void>
  stop(): void
}

export interface TrafficOptions {
  readonly engine: HookEngine<SiegePoints>
  readonly random: Random
  /** What the attackers are asked: only this. */
  readonly only?: keyof SiegePoints | undefined
  onError(what: string): void
}

export function createTraffic({ engine, random, only, onError }: TrafficOptions): Traffic {
  const underWay = new Map<number, UnderWay>()
  const samples = { undisturbed: new WindowSamples(), disturbed: new WindowSamples() }
  const found: string[] = []
  let lastOrder = 'none'
  let nextId = 1
  let own = 0
  let [taken, wrong, neighbourVerdicts] = [0, 0, 0]
  const waiting: (() => void)[] = []
  let lastTickMs = performance.now()
  let ticks = 0
  let isStopped = false

  const traffic: Traffic = {
    fodder: 0,
    window: null,
    movesBytes: false,
    isHostile: false,
    get taken() {
      return taken
    },
    get neighbourVerdicts() {
      return neighbourVerdicts
    },
    get wrongVerdicts() {
      return wrong
    },
    wrongVerdictsFound: found,
    get ownUnderWay() {
      return own
    },
    samples,
    get lastOrder() {
      return lastOrder
    },
    order(attack, seed) {
      ask('onGate', { order: attack, seed })
    },
    tick: () => new Promise((resolve) => waiting.push(resolve)),
    stop() {
      isStopped = true
      clearTimeout(timer)
      for (const resolve of waiting.splice(0)) resolve()
    },
  }

  function ask(hookpoint: Hookpoint, extra: { order?: string; seed?: number } = {}): void {
    const id = nextId++
    const text = `text of ${id}`
    const sinceMs = performance.now()
    const isNeighbours = hookpoint === 'onNorth' || hookpoint === 'onSouth'
    const { window } = traffic
    underWay.set(id, { hookpoint, sinceMs })
    if (!isNeighbours) own += 1
    const settled = (verdict: AnyVerdict) => {
      const tookMs = performance.now() - sinceMs
      underWay.delete(id)
      const asked: Asked = { id, text, movesBytes: traffic.movesBytes }
      if (isNeighbours) {
        neighbourVerdicts += 1
        if (window !== null && window === traffic.window) samples[window].calls.add(tookMs)
      } else {
        own -= 1
        if (traffic.isHostile && isTaken(verdict, hookpoint === 'onMixedParallel' ? 'parallel' : 'sequential'))
          taken += 1
      }
      if (extra.order !== undefined) lastOrder = JSON.stringify(verdict)
      const { judge, limitMs } = JUDGES[hookpoint]
      if (tookMs > limitMs + SLACK_MS) onError(`${hookpoint} ${id} settled after ${tookMs.toFixed(0)} ms`)
      const problem = judge(asked, verdict)
      if (problem !== null) blame(`${hookpoint} ${id}: ${problem}`)
    }
    const failed = (error: unknown) => {
      underWay.delete(id)
      if (!isNeighbours) own -= 1
      onError(`${hookpoint} ${id} was refused: ${String(error)}`)
    }
    engine.hooks[hookpoint]({ id, text, ...extra }).then(settled, failed)
  }

  function blame(what: string): void {
    wrong += 1
    if (found.length < EXAMPLES) found.push(what)
  }

  function feed(): void {
    const share = random.next()
    const hookpoint = only ?? FODDER.find(([upTo]) => share < upTo)?.[1] ?? 'onGate'
    if (hookpoint === 'onObserve') engine.hooks.onObserve({ id: nextId++ })
    else ask(hookpoint)
  }

  function turn(): void {
    const nowMs = performance.now()
    if (traffic.window !== null) samples[traffic.window].loopDelays.add(Math.max(0, nowMs - lastTickMs - 1))
    lastTickMs = nowMs
    ticks += 1
    for (let left = Math.min(traffic.fodder, MAX_UNDER_WAY - own); left > 0; left -= 1) feed()
    // With these in flight as well: whoever comes behind the attackers' calls is to be answered all the same.
    ask(ticks % 2 === 0 ? 'onNorth' : 'onSouth')
    if (ticks % 500 === 0) findOverdue(nowMs)
    for (const resolve of waiting.splice(0)) resolve()
    if (!isStopped) timer = setTimeout(turn, 1)
  }

  function findOverdue(nowMs: number): void {
    for (const [id, { hookpoint, sinceMs }] of underWay) {
      if (nowMs - sinceMs < JUDGES[hookpoint].limitMs + SLACK_MS) continue
      underWay.delete(id)
      onError(`${hookpoint} ${id} has not settled after ${(nowMs - sinceMs).toFixed(0)} ms`)
    }
  }

  let timer = setTimeout(turn, 1)
  return traffic
}
