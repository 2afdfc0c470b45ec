/**
 * Contracts: named, versioned sets of hookpoints with typed events. Made once at import by server and plugin alike;
 * immutable from then on, readable from any thread.
 *
 * Contracts that ship make their schemas when they are first asked for. A layout plan is compiled when it is first read; a
 * lane never reads one: the host's comes with its orders.
 */
import { compileLayout } from './codec/compile.js'
import type { LayoutPlan } from './codec/plan.js'
import { HookringError, thrownText } from './errors.js'
import { RESERVED_HOOK_NAMES } from './reserved-names.js'
import { isSchema, refuseZod3, type Schema, type SchemaInput, type SchemaOutput } from './schema.js'
import type { AnswerVerdict, GateVerdict, TransformVerdict } from './verdict.js'

export const HOOKPOINT_KINDS = ['gate', 'observe', 'transform', 'respond'] as const
export type HookpointKind = (typeof HOOKPOINT_KINDS)[number]

/** `sequential`: hop after hop, a reject ends the chain. `parallel` (gates): all hops at once, first reject by priority. */
export type ChainOrder = 'sequential' | 'parallel'

export interface Hookpoint<
  Kind extends HookpointKind = HookpointKind,
  Event extends Schema = Schema,
  Reply extends Schema = Schema,
> {
  readonly kind: Kind
  readonly event: Event
  /** Schema of the answer; respond only. */
  readonly reply: Reply | null
  readonly order: ChainOrder
  /** Room for the encoded answer or replacement, in bytes, on top of the event's own size; null: the engine's default. */
  readonly maxReplyBytes: number | null
  /** A boolean field of a transform's event: a replacement in which it is true ends the chain. */
  readonly endsOn: string | null
  readonly plan: LayoutPlan
  readonly replyPlan: LayoutPlan | null
}

export type Hookpoints = Readonly<Record<string, Hookpoint>>

/** Something that the server does for plugins that the operator grants it to. What crosses is structured-cloneable. */
export interface Service<Input extends Schema = Schema, Output extends Schema = Schema> {
  /** What a plugin passes; checked on the server's side. */
  readonly input: Input
  readonly output: Output
}

export type Services = Readonly<Record<string, Service>>

export interface Contract<Points extends Hookpoints = Hookpoints, Offered extends Services = Services> {
  readonly name: string
  readonly version: number
  /** `name@version`. */
  readonly id: string
  readonly hookpoints: Points
  /** What servers of this contract may do for plugins, by name. */
  readonly services: Offered
}

/**
 * Defines a contract: `defineContract('shop', 1, { onOrder: gate(z.object({ total: z.number() })) })`.
 *
 * @throws HookringError CONTRACT_INVALID for a bad name, version or hookpoint; CONTRACT_UNENCODABLE, with the path, for
 * a schema that cannot cross between threads.
 */
export function defineContract<Points extends Hookpoints, Offered extends Services = Record<never, never>>(
  name: string,
  version: number,
  hookpoints: Points,
  options: { services?: Offered } = {},
): Contract<Points, Offered> {
  try {
    const contract = contractOf(name, version, { hookpoints, services: options.services })
    for (const [key, point] of Object.entries(contract.hookpoints))
      compilePlans(point, `contract ${contract.id}: ${key}`)
    return contract
  } catch (cause) {
    if (cause instanceof HookringError) throw cause
    // A getter, or code of a schema's.
    const message = `contract ${shown(name)} could not be read: ${thrownText(cause)}`
    throw new HookringError('CONTRACT_INVALID', message, { cause })
  }
}

/** What a contract is made of. */
interface Parts<Points extends Hookpoints, Offered extends Services> {
  readonly hookpoints: Points
  readonly services?: Offered | undefined
}

/**
 * The same for contracts that ship, which are known to be good: schemas are made when they are first asked for, plans when
 * they are read. Whoever imports one contract imports all of them, lanes included, and uses one.
 */
export function declareContract<Points extends Hookpoints, Offered extends Services = Record<never, never>>(
  name: string,
  version: number,
  define: () => Parts<Points, Offered>,
): Contract<Points, Offered> {
  let made: Contract<Points, Offered> | undefined
  const contract = (): Contract<Points, Offered> => {
    made ??= contractOf(name, version, define())
    return made
  }
  return Object.freeze({
    name,
    version,
    id: `${name}@${version}`,
    get hookpoints() {
      return contract().hookpoints
    },
    get services() {
      return contract().services
    },
  })
}

function contractOf<Points extends Hookpoints, Offered extends Services>(
  name: string,
  version: number,
  { hookpoints, services: offered }: Parts<Points, Offered>,
): Contract<Points, Offered> {
  const services = (offered ?? {}) as Offered
  if (typeof name !== 'string' || !/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new HookringError(
      'CONTRACT_INVALID',
      `contract name ${shown(name)} must be lower-case letters, digits and dashes`,
    )
  }
  if (!Number.isInteger(version) || version < 1 || version > 65_535) {
    throw new HookringError(
      'CONTRACT_INVALID',
      `contract ${name}: version must be an integer from 1 to 65535, got ${shown(version)}`,
    )
  }
  const entries = Object.entries(hookpoints ?? {})
  if (entries.length === 0) {
    throw new HookringError('CONTRACT_INVALID', `contract ${name}@${version} has no hookpoints`)
  }
  const declared: Record<string, Hookpoint> = {}
  for (const [key, point] of entries) {
    if (!/^[A-Za-z_][\w]*$/.test(key) || RESERVED_HOOK_NAMES.has(key)) {
      throw new HookringError(
        'CONTRACT_INVALID',
        `contract ${name}@${version}: ${JSON.stringify(key)} cannot name a hookpoint`,
        { path: [key] },
      )
    }
    if (!HOOKPOINT_KINDS.includes(point?.kind)) {
      throw new HookringError(
        'CONTRACT_INVALID',
        `contract ${name}@${version}: ${key} must be made by gate, observe, transform or respond`,
        { path: [key] },
      )
    }
    checkReplyBytes(point, `contract ${name}@${version}: ${key}`)
    declared[key] = withPlans(key, point)
  }
  checkServices(services, `contract ${name}@${version}`)
  return Object.freeze({
    name,
    version,
    id: `${name}@${version}`,
    hookpoints: Object.freeze(declared) as Points,
    services: Object.freeze({ ...services }),
  })
}

/** The hookpoint under its name, which errors begin their paths with. */
function withPlans(key: string, point: Hookpoint): Hookpoint {
  const { event, reply } = point
  let plan: LayoutPlan | undefined
  let replyPlan: LayoutPlan | undefined
  return Object.freeze({
    ...point,
    get plan() {
      plan ??= compileLayout(event, [key])
      return plan
    },
    get replyPlan() {
      if (reply !== null) replyPlan ??= compileLayout(reply, [key, 'reply'])
      return replyPlan ?? null
    },
  })
}

/** Refuses here and now what cannot cross, and what needs a plan to be checked. */
function compilePlans(point: Hookpoint, where: string): void {
  checkEndsOn(point, where)
  void point.replyPlan
}

function checkServices(services: Services, where: string): void {
  for (const [key, offered] of Object.entries(services)) {
    const isNamed = /^[A-Za-z_][\w]{0,63}$/.test(key)
    for (const part of ['input', 'output'] as const) {
      refuseZod3(offered?.[part], `${where}: services: ${key}: ${part}`, ['services', key, part])
    }
    const isService = isSchema(offered?.input) && isSchema(offered?.output)
    if (isNamed && isService) continue
    const what = isNamed ? 'must be made by service' : 'cannot name a service'
    throw new HookringError('CONTRACT_INVALID', `${where}: services: ${JSON.stringify(key)} ${what}`, {
      path: ['services', key],
    })
  }
}

/** Types: what a caller passes, what a hook is given, what a call comes to. */
export type EventInput<H extends Hookpoint> = SchemaInput<H['event']>
export type EventOutput<H extends Hookpoint> = SchemaOutput<H['event']>
export type ReplyOutput<H extends Hookpoint> =
  H extends Hookpoint<'respond', Schema, infer R extends Schema> ? SchemaOutput<R> : never
export type ReplyInput<H extends Hookpoint> =
  H extends Hookpoint<'respond', Schema, infer R extends Schema> ? SchemaInput<R> : never

/** What a plugin finds of a contract's services: those that it was granted. */
export type GrantedServices<Offered extends Services> = {
  readonly [Name in keyof Offered]?: (
    input: SchemaInput<Offered[Name]['input']>,
  ) => Promise<SchemaOutput<Offered[Name]['output']>>
}

/** What a server does for plugins. `caller` names the plugin that asks. */
export type ProvidedServices<Offered extends Services> = {
  readonly [Name in keyof Offered]?: (
    input: SchemaOutput<Offered[Name]['input']>,
    caller: ServiceCaller,
  ) => SchemaInput<Offered[Name]['output']> | Promise<SchemaInput<Offered[Name]['output']>>
}

export interface ServiceCaller {
  readonly plugin: string
}

export type VerdictOf<H extends Hookpoint> = H['kind'] extends 'gate'
  ? GateVerdict
  : H['kind'] extends 'transform'
    ? TransformVerdict<EventOutput<H>>
    : H['kind'] extends 'respond'
      ? AnswerVerdict<ReplyOutput<H>>
      : never

/**
 * An event as a hook sees it: fields are read from shared memory when they are first touched. Reading a field for the
 * first time after the hook has returned (an async one: has settled) throws EVENT_EXPIRED; fields read before stay. An
 * event that is no object with named fields (an array, a record, a scalar) is read whole, as plain data.
 */
export type HookEvent<T> = T extends readonly unknown[] | Uint8Array | Date
  ? T
  : T extends object
    ? string extends keyof T
      ? T
      : Readonly<T> & {
          /** A plain, complete object of one's own, to keep, spread or change. */
          copy(): T
        }
    : T

/** An answer of this size would be no answer: engines hold a slot's room for it. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024

function checkReplyBytes({ maxReplyBytes, order }: Hookpoint, where: string): void {
  const isSize = maxReplyBytes === null || (Number.isInteger(maxReplyBytes) && maxReplyBytes >= 0)
  if (!isSize || (maxReplyBytes ?? 0) > MAX_REPLY_BYTES) {
    throw new HookringError(
      'CONTRACT_INVALID',
      `${where}: maxReplyBytes must be a whole number from 0 to ${MAX_REPLY_BYTES}, got ${shown(maxReplyBytes)}`,
    )
  }
  if (order === 'sequential' || order === 'parallel') return
  throw new HookringError('CONTRACT_INVALID', `${where}: order must be sequential or parallel, got ${shown(order)}`)
}

function checkEndsOn({ endsOn, plan: { root } }: Hookpoint, where: string): void {
  if (endsOn === null) return
  const field = root.kind === 'object' ? root.fields.find(({ key }) => key === endsOn)?.node : undefined
  if ((field?.kind === 'maybe' ? field.inner : field)?.kind === 'bool') return
  throw new HookringError(
    'CONTRACT_INVALID',
    `${where}: endsOn must name a boolean field of the event, got ${shown(endsOn)}`,
  )
}

/** A value in an error's message; anything but texts and numbers by its type alone. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  return typeof value === 'number' || value === null || value === undefined ? String(value) : `a ${typeof value}`
}
