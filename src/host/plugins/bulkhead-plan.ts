/**
 * Decides which plugins share a bulkhead, and what its lanes are made of. Used when the registry changes, on the host's
 * thread.
 */
import { fileURLToPath } from 'node:url'
import { HookringError } from '../../contracts/errors.js'
import type { ResolvedEngineOptions } from '../../contracts/option-schemas.js'
import { DEFAULTS, MAX_PLUGINS_PER_BULKHEAD } from '../../contracts/options.js'
import type { ChildProfile } from '../../contracts/process.js'
import type { Boundary } from '../../contracts/runtimes.js'
import { checkFlags, inheritedFlags } from '../lanes/lane-flags.js'
import type { BulkheadOptions, WorkerProfile } from '../model/bulkhead.js'
import type { Registration } from '../model/plugin.js'

export interface BulkheadPlan extends BulkheadOptions {
  readonly partitionBy: string | null
  /** In the order of the chain. */
  readonly registrations: readonly Registration[]
}

interface Limits {
  readonly memoryMb: number
  readonly concurrency: number
  readonly queue: number
  readonly slots: number
}

export interface PlanDefaults {
  /** A call in a child process that is past its time by this much ends the process. */
  readonly hangMs: number
  /**
   * The server's environment. The tools of the process boundary are looked for in its PATH, and plugins may be given
   * parts of it.
   */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Node.js flags for the threads of trusted plugins. */
  readonly execArgv: readonly string[]
  /** Plugins are watched in development. */
  readonly reportsImports?: boolean
  /** Lanes of the bulkhead that trusted plugins share. */
  readonly workers: number
  readonly limits: Limits
}

/**
 * The operator's options for all plugins.
 * @throws HookringError OPTIONS_INVALID
 */
export function planDefaults({ hangMs, workers, limits, execArgv }: ResolvedEngineOptions): PlanDefaults {
  if (execArgv !== undefined) checkFlags(execArgv)
  return {
    hangMs,
    env: process.env,
    execArgv: execArgv ?? inheritedFlags(process.execArgv, process.env.NODE_OPTIONS),
    workers,
    limits: {
      memoryMb: limits?.memoryMb ?? DEFAULTS.memoryMb,
      concurrency: limits?.concurrency ?? DEFAULTS.concurrency,
      queue: limits?.queue ?? DEFAULTS.maxQueue,
      slots: limits?.slots ?? DEFAULTS.slots,
    },
  }
}

/** The bulkhead of trusted plugins that ask for nothing of their own. */
const SHARED = 'trusted'

/** @throws HookringError BULKHEAD_FULL, OPTIONS_INVALID for plugins of one bulkhead whose options contradict each other */
export function planBulkheads(
  registrations: readonly Registration[],
  defaults: PlanDefaults,
): Map<string, BulkheadPlan> {
  const groups = new Map<string, Registration[]>()
  const sorted = [...registrations].sort((a, b) => b.options.priority - a.options.priority || a.order - b.order)
  for (const registration of sorted) {
    const name = bulkheadOf(registration)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [registration])
    else group.push(registration)
  }
  return new Map([...groups].map(([name, group]) => [name, planGroup(name, group, defaults)]))
}

/**
 * These get a bulkhead of their own unless the operator names one: untrusted plugins, shadows, plugins with a runtime or
 * boundary of their own, remote providers, and plugins with options for their lanes.
 */
function bulkheadOf({ options, ownBulkhead, runtime, boundary }: Registration): string {
  if (options.bulkhead !== undefined) return options.bulkhead
  const isOwn =
    options.trust === 'untrusted' ||
    options.mode === 'shadow' ||
    boundary === 'process' ||
    runtime === 'compartment' ||
    runtime === 'exhook' ||
    options.workers !== undefined ||
    options.partitionBy !== undefined ||
    options.limits !== undefined
  return isOwn ? ownBulkhead : SHARED
}

function planGroup(name: string, group: readonly Registration[], defaults: PlanDefaults): BulkheadPlan {
  if (group.length > MAX_PLUGINS_PER_BULKHEAD) {
    const message = `bulkhead ${name} has ${group.length} plugins, and at most ${MAX_PLUGINS_PER_BULKHEAD} can share one; give some of them another bulkhead`
    throw new HookringError('BULKHEAD_FULL', message)
  }
  const limits: Partial<Limits> = {}
  let workers: number | undefined
  let partitionBy: string | undefined
  for (const { options, name: plugin } of group) {
    workers = agreed(name, plugin, 'workers', workers, options.workers)
    partitionBy = agreed(name, plugin, 'partitionBy', partitionBy, options.partitionBy)
    for (const key of ['memoryMb', 'concurrency', 'queue', 'slots'] as const) {
      const value = agreed(name, plugin, `limits.${key}`, limits[key], options.limits?.[key])
      if (value !== undefined) Object.assign(limits, { [key]: value })
    }
  }
  const isShared = name === SHARED
  return {
    name,
    profile: profileOf(name, group, limits.memoryMb, defaults),
    workers: workers ?? (isShared ? defaults.workers : DEFAULTS.workers),
    slots: powerOfTwo(limits.slots ?? defaults.limits.slots),
    maxQueue: limits.queue ?? defaults.limits.queue,
    concurrency: limits.concurrency ?? defaults.limits.concurrency,
    partitionBy: partitionBy ?? null,
    registrations: group,
  }
}

/** The kind of thread that the bulkhead's lanes need, and of the process behind it. */
function profileOf(
  bulkhead: string,
  group: readonly Registration[],
  memoryMb: number | undefined,
  defaults: PlanDefaults,
): WorkerProfile {
  let boundary: Boundary | undefined
  let sandbox: 'required' | 'best-effort' | undefined
  let isHardened: boolean | undefined
  const env: Record<string, string> = {}
  for (const registration of group) {
    const { options, name: plugin } = registration
    boundary = agreed(bulkhead, plugin, 'boundary', boundary, registration.boundary)
    sandbox = agreed(bulkhead, plugin, 'sandbox', sandbox, options.sandbox)
    isHardened = hardened(bulkhead, registration, isHardened)
    for (const [key, value] of Object.entries(envOf(options.env, defaults.env))) {
      env[key] = agreed(bulkhead, plugin, `env.${key}`, env[key], value) as string
    }
  }
  if (boundary !== 'process') {
    const isTrusted = isHardened !== true && group.every(({ options }) => options.trust !== 'untrusted')
    return {
      memoryMb: memoryMb ?? defaults.limits.memoryMb,
      env,
      execArgv: isTrusted ? defaults.execArgv : [],
      reportsImports: defaults.reportsImports === true && group.some(({ runtime }) => runtime === 'module'),
      loadsTypeScript: group.some((registration) => registration.loadsTypeScript),
      isHardened: isHardened === true,
      child: null,
    }
  }
  const child: ChildProfile = {
    runtimes: [...new Set(group.map(({ runtime }) => runtime))].sort(),
    libraries: group.filter(({ runtime }) => runtime === 'native').map(({ url }) => fileURLToPath(url)),
    memoryMb: group.reduce((sum, { options }) => sum + (options.limits?.memoryMb ?? DEFAULTS.guestMemoryMb), 0),
    hangMs: defaults.hangMs,
    // A process around a trusted plugin is a second wall: use what of it the machine offers.
    sandbox: sandbox ?? (group.some(({ options }) => options.trust === 'untrusted') ? 'required' : 'best-effort'),
    env,
    searchPath: defaults.env.PATH ?? '',
  }
  // No plugin code runs in the thread.
  return {
    memoryMb: defaults.limits.memoryMb,
    env: {},
    execArgv: [],
    loadsTypeScript: false,
    reportsImports: false,
    isHardened: false,
    child,
  }
}

/** Compartments need a locked-down thread or process, in which other plugins would not work. */
function hardened(bulkhead: string, { runtime, boundary, name: plugin }: Registration, others: boolean | undefined) {
  const isHardened = runtime === 'compartment'
  if (others === undefined || others === isHardened) return isHardened
  throw new HookringError(
    'OPTIONS_INVALID',
    `plugin ${plugin}: runtime compartment cannot share a ${boundary} with other runtimes; give it another bulkhead than ${bulkhead}`,
    { plugin, path: ['bulkhead'] },
  )
}

/** Picks the named variables from the server's environment, or takes the operator's own values. */
function envOf(
  wanted: readonly string[] | Readonly<Record<string, string>> | undefined,
  server: PlanDefaults['env'],
): Record<string, string> {
  if (wanted === undefined) return {}
  if (!Array.isArray(wanted)) return wanted as Record<string, string>
  const named = wanted.map((name) => [name, server[name]] as const)
  return Object.fromEntries(named.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function agreed<T>(
  bulkhead: string,
  plugin: string,
  option: string,
  sofar: T | undefined,
  value: T | undefined,
): T | undefined {
  if (value === undefined || sofar === undefined || sofar === value) return value ?? sofar
  throw new HookringError(
    'OPTIONS_INVALID',
    `plugin ${plugin}: ${option} is ${String(value)}, but another plugin of bulkhead ${bulkhead} asks for ${String(sofar)}`,
    { plugin, path: [option] },
  )
}

/** The next power of two. With `**` V8 would compute a double, and with it everything in the ring that is derived from it. */
function powerOfTwo(count: number): number {
  return 1 << (32 - Math.clz32(count - 1))
}

/** Whether a running bulkhead can stay as it is. */
export function isSamePlan(a: BulkheadPlan, b: BulkheadPlan): boolean {
  return (
    a.registrations.length === b.registrations.length &&
    a.registrations.every((registration, index) => registration === b.registrations[index]) &&
    JSON.stringify({ ...a, registrations: [] }) === JSON.stringify({ ...b, registrations: [] })
  )
}
