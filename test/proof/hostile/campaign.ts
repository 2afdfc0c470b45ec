/**
 * A siege: an engine with two plugins in one bulkhead whose lane an attacker owns, and honest neighbours in bulkheads of
 * their own. Windows with attacks take turns with windows in which the same plugins answer the same traffic honestly.
 */
import { pathToFileURL } from 'node:url'
import { createHookEngine, type HookEngine, type HookringError } from 'hookring'
import { ATTACKS } from './attack-list.mjs'
import { type SiegePoints, siege } from './contract.mjs'
import { type HostileReport, medianOf, type PairRatio, pairRatio, rounded } from './figures.js'
import { ATTACKERS } from './judge.js'
import {
  createOrders,
  createRandom,
  IN_FORCE_WORD,
  PUSHED_WORD,
  type Random,
  RUNG_WORD,
  TIMEOUT_WORD,
  WANTED_WORD,
} from './orders.mjs'
import { ATTACKER_TIMEOUT_MS, createTraffic, NEIGHBOUR_TIMEOUT_MS, type Traffic } from './traffic.js'

export interface CampaignOptions {
  readonly seed: number
  /** Hostile completions to be taken or refused. */
  readonly completions: number
  /** The folder of this file in the package's source: plugins are loaded from there. */
  readonly folder: string
  /** Only these attacks. */
  readonly attacks?: readonly string[] | undefined
  /** The attackers are asked at this hookpoint alone. */
  readonly only?: keyof SiegePoints | undefined
  readonly fodderPerMs?: number
  readonly undisturbedMs?: number
  readonly disturbedMs?: number
  readonly signal?: AbortSignal | undefined
  onProgress?(completions: number, attack: string): void
}

/** How long an attack may go on that nobody notices, and how long anything else may take, milliseconds. */
const ATTACK_MS = 2_000
const PATIENCE_MS = 5_000
/** After an attack's end, before the next window counts: the next spare boots. */
const SETTLE_MS = 150
const RELOAD_EVERY = 25
const EXAMPLES = 10

export async function runCampaign(options: CampaignOptions): Promise<HostileReport> {
  const beganMs = performance.now()
  const random = createRandom(options.seed)
  const errors: string[] = []
  let errorCount = 0
  const onError = (what: string) => {
    errorCount += 1
    if (errors.length < EXAMPLES) errors.push(what)
  }
  const uncaught = (error: unknown) => onError(`uncaught: ${error instanceof Error ? error.stack : String(error)}`)
  process.on('uncaughtException', uncaught)
  process.on('unhandledRejection', uncaught)

  const orders = createOrders()
  const engine = await openEngine(options.folder, orders)
  const counts = { lanes: {} as Record<string, number>, quarantines: 0 }
  /** Since the last lane was replaced. */
  const quarantined = new Set<string>()
  engine.on('error', (error: HookringError) => onError(`error event: ${error.message}`))
  engine.on('laneReplaced', ({ bulkhead, reason }) => {
    // What the next lane gives back is honest, until it is ordered otherwise.
    traffic.isHostile = false
    if (bulkhead !== 'attackers') onError(`a lane of ${bulkhead} was replaced (${reason})`)
    counts.lanes[reason] = (counts.lanes[reason] ?? 0) + 1
    if (reason !== 'violation') return
    for (const name of ATTACKERS) {
      if (!quarantined.delete(name)) onError(`${name} was not quarantined for a violation`)
    }
  })
  engine.on('zombie', ({ lane }) => onError(`${lane} became a zombie`))
  engine.on('pluginQuarantined', ({ plugin }) => {
    quarantined.add(plugin)
    counts.quarantines += 1
    if (!ATTACKERS.includes(plugin)) onError(`${plugin} was quarantined`)
    // Operators who never learn: the next attack comes at once.
    engine.release(plugin)
  })

  const traffic: Traffic = createTraffic({ engine, random, only: options.only, onError })
  const field: Field = {
    engine,
    traffic,
    orders,
    random,
    onError,
    counts,
    options,
    attacks: {},
    ratios: [],
    reloads: 0,
    taken: 0,
    refused: 0,
  }
  try {
    await besiege(field)
  } finally {
    traffic.fodder = 0
    traffic.window = null
    await until(field, () => traffic.ownUnderWay === 0, PATIENCE_MS)
    traffic.stop()
    await engine.close().catch(uncaught)
    process.off('uncaughtException', uncaught)
    process.off('unhandledRejection', uncaught)
  }
  return reportOf(field, { errorCount, errors, beganMs })
}

/** Everything that a campaign acts on. */
interface Field {
  readonly engine: HookEngine<SiegePoints>
  readonly traffic: Traffic
  readonly orders: Int32Array
  readonly random: Random
  readonly onError: (what: string) => void
  readonly counts: { readonly lanes: Record<string, number>; quarantines: number }
  readonly options: CampaignOptions
  readonly attacks: Record<string, number>
  /** Of each pair of windows. */
  readonly ratios: PairRatio[]
  reloads: number
  /** Hostile completions that have decided calls. */
  taken: number
  /** Violations: completions that were refused. */
  refused: number
  violations?: Record<string, number>
}

/** The besieged: two plugins of the attacker's in one bulkhead, and the neighbours. */
export function openEngine(folder: string, orders: Int32Array): Promise<HookEngine<SiegePoints>> {
  Atomics.store(orders, TIMEOUT_WORD, ATTACKER_TIMEOUT_MS)
  const from = (name: string) => pathToFileURL(`${folder}/plugins/${name}.mjs`)
  const attacker = (name: string, answers: boolean) => ({
    from: from('attacker'),
    name,
    bulkhead: 'attackers',
    priority: 1,
    timeoutMs: ATTACKER_TIMEOUT_MS,
    onFailure: 'allow' as const,
    config: { orders: orders.buffer, answers },
  })
  const neighbour = (name: string, priority: number, own: string) => ({
    from: from('neighbour'),
    name,
    bulkhead: name,
    priority,
    timeoutMs: NEIGHBOUR_TIMEOUT_MS,
    config: { hooks: [own, 'onMixedGate', 'onMixedParallel', 'onMixedTransform'] },
  })
  return createHookEngine({
    contract: siege,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    hangMs: 50,
    shutdownTimeoutMs: 100,
    maxEventBytes: 16_384,
    limits: { slots: 256 },
    spares: 2,
    // The first failure is enough: each violation has to show in it.
    quarantine: { minFailures: 1, ratio: 1e-9, windowMs: 1_000, cooldownMs: 60_000 },
    plugins: [
      neighbour('north', 2, 'onNorth'),
      attacker('attacker', true),
      attacker('accomplice', false),
      neighbour('south', 0, 'onSouth'),
    ],
  })
}

async function besiege(field: Field): Promise<void> {
  const { traffic, options } = field
  const { completions, undisturbedMs = 2_000, disturbedMs = 8_000, fodderPerMs = 40 } = options
  const isOver = () => field.taken + field.refused >= completions || options.signal?.aborted === true
  let turn = shuffledAttacks(field)
  while (!isOver()) {
    const { undisturbed, disturbed } = traffic.samples
    const from = { undisturbed: undisturbed.calls.count, disturbed: disturbed.calls.count }
    traffic.fodder = fodderPerMs
    await pause(field, SETTLE_MS)
    traffic.window = 'undisturbed'
    await pause(field, undisturbedMs)
    traffic.window = 'disturbed'
    const endMs = performance.now() + disturbedMs
    while (performance.now() < endMs && !isOver()) {
      const attack = turn.pop() as string
      if (turn.length === 0) turn = shuffledAttacks(field)
      await attackOnce(field, attack, fodderPerMs)
      field.refused = sum(await violationsOf(field))
      options.onProgress?.(field.taken + field.refused, attack)
    }
    traffic.window = null
    const ratio = pairRatio(traffic.samples, from)
    if (ratio !== null) field.ratios.push(ratio)
  }
  field.violations = await violationsOf(field)
}

/** One lane's life in the attacker's hands. */
async function attackOnce(field: Field, attack: string, fodderPerMs: number): Promise<void> {
  const { traffic, orders, random, counts, onError } = field
  const traits = ATTACKS[attack] as (typeof ATTACKS)[string]
  const seed = 1 + random.below(0x7fff_ffff)
  field.attacks[attack] = (field.attacks[attack] ?? 0) + 1
  // Alone in the lane when it takes over, so that no honest completion counts as a hostile one.
  traffic.fodder = 0
  await until(field, () => traffic.ownUnderWay === 0, PATIENCE_MS)
  Atomics.store(orders, WANTED_WORD, seed)
  const [lanesBefore, pushedBefore] = [sum(counts.lanes), Atomics.load(orders, PUSHED_WORD)]
  traffic.movesBytes = traits.movesBytes
  const isInForce = () => Atomics.load(orders, IN_FORCE_WORD) === seed
  for (let tries = 0; tries < 50 && !isInForce(); tries += 1) {
    traffic.order(attack, seed)
    await until(field, () => isInForce() || traffic.ownUnderWay === 0, 200)
  }
  if (!isInForce()) {
    const states = field.engine.plugins.map(({ name, state }) => `${name} ${state}`).join(', ')
    onError(`the attack ${JSON.stringify(attack)} could not begin (${states}): ${traffic.lastOrder}`)
    return
  }
  traffic.isHostile = true
  const takenBefore = traffic.taken
  const isReplaced = () => sum(counts.lanes) > lanesBefore
  traffic.fodder = fodderPerMs
  await until(field, () => isReplaced() || traffic.taken - takenBefore >= traits.quota, ATTACK_MS)
  Atomics.store(orders, WANTED_WORD, 0)
  if (!(await until(field, isReplaced, PATIENCE_MS))) onError(`the lane outlived ${JSON.stringify(attack)}`)
  traffic.fodder = 0
  await until(field, () => traffic.ownUnderWay === 0, PATIENCE_MS)
  traffic.isHostile = false
  // Never more than were pushed, whatever it looks like from here.
  field.taken += Math.min(traffic.taken - takenBefore, (Atomics.load(orders, PUSHED_WORD) - pushedBefore) >>> 0)
  traffic.movesBytes = false
  if (sum(field.attacks) % RELOAD_EVERY === 0) {
    field.reloads += 1
    await field.engine.reload('attacker')
  }
}

/** Resolves with whether it came about within the time. */
async function until({ traffic }: Field, holds: () => boolean, withinMs: number): Promise<boolean> {
  const endMs = performance.now() + withinMs
  while (!holds()) {
    if (performance.now() > endMs) return false
    await traffic.tick()
  }
  return true
}

async function pause(field: Field, ms: number): Promise<void> {
  await until(field, () => field.options.signal?.aborted === true, ms)
}

/** Every attack as often as its share says, in a random order. */
function shuffledAttacks({ random, options }: Field): string[] {
  const names = Object.entries(ATTACKS)
    .filter(([name]) => options.attacks?.includes(name) ?? true)
    .flatMap(([name, { share }]) => new Array<string>(share).fill(name))
  for (let index = names.length - 1; index > 0; index -= 1) {
    const other = random.below(index + 1)
    ;[names[index], names[other]] = [names[other] as string, names[index] as string]
  }
  return names
}

/** By kind, from what an operator scrapes. */
async function violationsOf({ engine }: Field): Promise<Record<string, number>> {
  const rows = (await engine.registry.metrics()).matchAll(
    /^hookring_protocol_violations_total\{.*bulkhead="attackers".*kind="(\w+)".*\} (\d+)$/gm,
  )
  return Object.fromEntries([...rows].map(([, kind, count]) => [kind as string, Number(count)]))
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

function reportOf(
  field: Field,
  { errorCount, errors, beganMs }: { errorCount: number; errors: readonly string[]; beganMs: number },
): HostileReport {
  const { traffic, orders, counts } = field
  const violations = field.violations ?? {}
  const undisturbed = traffic.samples.undisturbed.figures()
  const disturbed = traffic.samples.disturbed.figures()
  return {
    completions: field.taken + sum(violations),
    violations,
    wrongVerdicts: traffic.wrongVerdicts,
    hostErrors: errorCount,
    neighbour: {
      p50Ratio: rounded(medianOf(field.ratios.map(({ p50 }) => p50))),
      p99Ratio: rounded(medianOf(field.ratios.map(({ p99 }) => p99))),
    },
    seed: field.options.seed,
    seconds: rounded((performance.now() - beganMs) / 1000),
    pushed: Atomics.load(orders, PUSHED_WORD) >>> 0,
    doorbellsRung: Atomics.load(orders, RUNG_WORD) >>> 0,
    attacks: field.attacks,
    lanesReplaced: counts.lanes,
    quarantines: counts.quarantines,
    reloads: field.reloads,
    neighbourVerdicts: traffic.neighbourVerdicts,
    windowPairs: field.ratios.length,
    undisturbed,
    disturbed,
    wrongVerdictsFound: traffic.wrongVerdictsFound,
    hostErrorsFound: errors,
    wasInterrupted: field.options.signal?.aborted === true,
  }
}
