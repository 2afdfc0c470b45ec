/**
 * Decides which plugins share a bulkhead and what its lanes are made of. Pure. Used when the registry changes, on the
 * host's thread.
 */
import { HookringError } from '../contracts/errors.js'
import { DEFAULTS, MAX_PLUGINS_PER_BULKHEAD } from '../contracts/options.js'
import type { BulkheadOptions } from './bulkhead.js'
import type { Registration } from './plugin-state.js'

export interface BulkheadPlan extends BulkheadOptions {
  readonly partitionBy: string | null
  /** In the order of the chain. */
  readonly registrations: readonly Registration[]
}

export interface Limits {
  readonly memoryMb: number
  readonly concurrency: number
  readonly queue: number
  readonly slots: number
}

export interface PlanDefaults {
  /** Lanes of the bulkhead that trusted plugins share. */
  readonly workers: number
  readonly limits: Limits
}

/** Where trusted plugins live that ask for nothing of their own. */
const SHARED = 'trusted'

/** @throws HookringError BULKHEAD_FULL, OPTIONS_INVALID for plugins of one bulkhead that ask for different things */
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

/** Untrusted plugins, shadows and plugins with lanes of their own making share with nobody unless they are told to. */
function bulkheadOf({ options, ownBulkhead }: Registration): string {
  if (options.bulkhead !== undefined) return options.bulkhead
  const isOwn =
    options.trust === 'untrusted' ||
    options.mode === 'shadow' ||
    options.workers !== undefined ||
    options.partitionBy !== undefined ||
    options.limits !== undefined
  return isOwn ? ownBulkhead : SHARED
}

function planGroup(name: string, group: readonly Registration[], defaults: PlanDefaults): BulkheadPlan {
  if (group.length > MAX_PLUGINS_PER_BULKHEAD) {
    const message = `bulkhead ${name} has ${group.length} plugins, ${MAX_PLUGINS_PER_BULKHEAD} are the most; give some another bulkhead`
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
    profile: { memoryMb: limits.memoryMb ?? defaults.limits.memoryMb },
    workers: workers ?? (isShared ? defaults.workers : DEFAULTS.workers),
    slots: powerOfTwo(limits.slots ?? defaults.limits.slots),
    maxQueue: limits.queue ?? defaults.limits.queue,
    concurrency: limits.concurrency ?? defaults.limits.concurrency,
    partitionBy: partitionBy ?? null,
    registrations: group,
  }
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

function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count))
}
