/**
 * Who plays in the soak: its engines and their plugins, with what the judge must know of each. Plain tables; read on the
 * host's thread.
 */
import type { FailureAction, FailureKind, FailurePolicy, PluginOptions } from 'hookring'
import type { Contract, HookpointKind } from 'hookring/contracts'
import { delivery } from 'hookring/contracts'
import { brief, feed, shop } from './contracts.js'
import type { SoakEvent } from './events.js'

export interface Role {
  readonly name: string
  /** Its number among the plugins of all engines. */
  readonly plugin: number
  /** Its column of marks; null for one that ships and leaves none. */
  readonly column: number | null
  readonly hooks: readonly string[]
  readonly isAsync: boolean
  readonly priority: number
  readonly onFailure?: FailurePolicy
  readonly timeoutMs?: number
  readonly options?: Pick<
    PluginOptions,
    'mode' | 'sample' | 'workers' | 'partitionBy' | 'limits' | 'bulkhead' | 'match'
  >
  /** What `match` comes to, worked out apart from the engine. */
  wants?(event: SoakEvent): boolean
  /** Added and removed while traffic flows; absent at first. */
  readonly isGuest?: boolean
}

export interface Cast {
  readonly name: string
  readonly contract: Contract
  readonly roles: readonly Role[]
  /** Rates of calls and observations per second, by hookpoint. */
  readonly traffic: Readonly<Record<string, number>>
  /** Closed and made again under traffic. Its plugins are never quarantined. */
  readonly isRecreated?: boolean
}

type Written = Omit<Role, 'plugin' | 'column'> & { readonly isShipped?: boolean }

let plugins = 0

function cast(
  name: string,
  contract: Contract,
  traffic: Cast['traffic'],
  written: readonly Written[],
  isRecreated = false,
): Cast {
  let columns = 0
  const roles = written.map(({ isShipped = false, ...role }) => ({
    ...role,
    plugin: plugins++,
    column: isShipped ? null : columns++,
  }))
  return { name, contract: contract as Contract, traffic, roles, isRecreated }
}

const OBSERVED = ['onBatchEnqueue', 'onAuth', 'onChannelCreated', 'onFetch', 'onUserRegistered']

export const CASTS: readonly Cast[] = [
  cast(
    'delivery',
    delivery,
    { onMessageEnqueue: 180, onBatchEnqueue: 30, onAuth: 40, onChannelCreated: 20, onFetch: 40, onUserRegistered: 20 },
    [
      { name: 'payload-limiter', isShipped: true, hooks: ['onMessageEnqueue'], isAsync: false, priority: 10 },
      { name: 'clerk', hooks: ['onMessageEnqueue', ...OBSERVED], isAsync: false, priority: 5 },
      {
        name: 'porter',
        hooks: ['onMessageEnqueue', 'onBatchEnqueue', 'onFetch'],
        isAsync: true,
        priority: 0,
        onFailure: 'allow',
        options: { workers: 2 },
      },
    ],
  ),
  cast('shop', shop, { onOrder: 160, onPrice: 120, onQuote: 100, onShipped: 140 }, [
    { name: 'stock', hooks: ['onOrder', 'onPrice', 'onQuote', 'onShipped'], isAsync: false, priority: 20 },
    {
      name: 'fraud',
      hooks: ['onOrder', 'onPrice', 'onQuote'],
      isAsync: true,
      priority: 10,
      onFailure: { timeout: 'allow', crash: 'deny', error: 'allow', overload: 'deny', quarantined: 'allow' },
      options: { workers: 2 },
    },
    { name: 'tax', hooks: ['onOrder', 'onPrice', 'onShipped'], isAsync: false, priority: 0, onFailure: 'allow' },
    {
      name: 'guest',
      hooks: ['onOrder', 'onShipped'],
      isAsync: false,
      priority: -5,
      options: { bulkhead: 'guests', match: { customer: { prefix: 'b' }, cents: { lt: 900 } } },
      wants: ({ customer, cents }) => String(customer).startsWith('b') && Number(cents) < 900,
      isGuest: true,
    },
    {
      name: 'sampler',
      hooks: ['onOrder', 'onShipped'],
      isAsync: false,
      priority: -10,
      options: { bulkhead: 'sampled', sample: 0.4 },
    },
    { name: 'audit', hooks: ['onOrder', 'onShipped'], isAsync: true, priority: 0, options: { mode: 'shadow' } },
    {
      name: 'quoter',
      hooks: ['onQuote'],
      isAsync: false,
      priority: -20,
      // Time for its heap to overflow before it is late.
      timeoutMs: 1500,
      options: { limits: { memoryMb: 24 } },
    },
  ]),
  cast('feed', feed, { onPost: 120, onTick: 300, onBlob: 40, onNote: 40 }, [
    { name: 'left', hooks: ['onPost'], isAsync: false, priority: 10, options: { bulkhead: 'left' } },
    { name: 'mid', hooks: ['onPost', 'onNote'], isAsync: true, priority: 5, onFailure: 'allow' },
    { name: 'right', hooks: ['onPost', 'onBlob'], isAsync: false, priority: 0, options: { bulkhead: 'right' } },
    {
      name: 'keeper',
      hooks: ['onTick'],
      isAsync: false,
      priority: 0,
      options: { workers: 3, partitionBy: 'key' },
    },
    {
      name: 'runner',
      hooks: ['onTick'],
      isAsync: true,
      priority: 0,
      options: { workers: 2, partitionBy: 'key', limits: { concurrency: 16, slots: 64 } },
    },
    {
      name: 'narrow',
      hooks: ['onBlob', 'onNote'],
      isAsync: false,
      priority: -5,
      options: { limits: { slots: 8, queue: 40, memoryMb: 32 } },
      onFailure: { overload: 'allow' },
    },
  ]),
  cast(
    'brief',
    brief,
    { onAsk: 60, onTold: 80 },
    [
      { name: 'aide', hooks: ['onAsk', 'onTold'], isAsync: false, priority: 5 },
      {
        name: 'scribe',
        hooks: ['onAsk', 'onTold'],
        isAsync: true,
        priority: 0,
        onFailure: 'allow',
        options: { workers: 1 },
      },
    ],
    true,
  ),
]

export function castOf(name: string): Cast {
  const found = CASTS.find((one) => one.name === name)
  if (found === undefined) throw new Error(`the soak has no engine ${name}`)
  return found
}

export function roleOf(name: string, role: string): Role {
  const found = castOf(name).roles.find((one) => one.name === role)
  if (found === undefined) throw new Error(`engine ${name} of the soak has no plugin ${role}`)
  return found
}

export function kindOf({ contract }: Cast, hookpoint: string): HookpointKind {
  return (contract.hookpoints[hookpoint] as { readonly kind: HookpointKind }).kind
}

export function isParallel({ contract }: Cast, hookpoint: string): boolean {
  return contract.hookpoints[hookpoint]?.order === 'parallel'
}

/** What a failure of the plugin becomes: as README.md has it, worked out apart from the engine. */
export function policyOf({ onFailure }: Role, kind: HookpointKind, failure: FailureKind): FailureAction {
  if (kind === 'observe') return 'allow'
  const fallback: FailureAction = kind === 'respond' ? 'raise' : 'deny'
  return typeof onFailure === 'string' ? onFailure : (onFailure?.[failure] ?? fallback)
}
