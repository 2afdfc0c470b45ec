/**
 * What a plugin author imports: definePlugin, reject, replace, and the types of hooks and their context. Tiny and free of
 * dependencies at run time, so that plugins bundle anywhere.
 */
import { PLUGIN_BRAND, VERDICT_BRAND } from '../contracts/brands.js'
import type {
  Contract,
  EventInput,
  EventOutput,
  GrantedServices,
  HookEvent,
  Hookpoint,
  HookpointKind,
  Hookpoints,
  ReplyInput,
  Services,
} from '../contracts/contract.js'
import type { Schema as AnySchema, SchemaOutput } from '../contracts/schema.js'

/**
 * Lines reach the host's logger with the plugin's name. A message has 8,192 characters, and fields are 32 at most, of 16 KiB
 * together, nested 6 deep; what is more is clipped, described, or counted in `skippedFields`. Fields called like a logger's own
 * (`level`, `time`, `msg`, `message`, `pid`, `name`, `err`, `plugin`, ...) arrive as `field_level`, `field_time` and so on.
 */
export interface PluginLogger {
  debug(message: string, fields?: Record<string, unknown>): void
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}

/** What setup is given, once per lane. */
export interface SetupContext<Config, Offered extends Services = Services> {
  /** The name under which the operator registered the plugin. */
  readonly plugin: string
  /** The operator's config, parsed by the plugin's own schema. */
  readonly config: Config
  /** Writes to the server's log, under the plugin's name. */
  readonly log: PluginLogger
  /**
   * The host services that the operator granted, as functions by name; the others are undefined. They reject with a coded
   * error: SERVICE_UNAVAILABLE, SERVICE_INPUT_INVALID, SERVICE_OVERLOAD, SERVICE_FAILED.
   */
  readonly services: GrantedServices<Offered>
}

/** What a hook is given with each event. */
export interface HookContext<Config = unknown, Offered extends Services = Services>
  extends SetupContext<Config, Offered> {
  /** When the call's verdict comes too late, in milliseconds since the Unix epoch. */
  readonly deadline: number
  /** Aborted at the deadline, and when the caller gives up. */
  readonly signal: AbortSignal
  /** The id that the caller gave the call, if any. */
  readonly traceId: string | undefined
}

/** The operation must not proceed. */
export interface Reject {
  readonly [VERDICT_BRAND]: 'reject'
  readonly reason: string
  readonly code: number | undefined
}

/** The operation proceeds with `event` instead. */
export interface Replace<E> {
  readonly [VERDICT_BRAND]: 'replace'
  readonly event: E
}

type MaybePromise<T> = T | Promise<T>

// biome-ignore lint/suspicious/noConfusingVoidType: a hook that returns nothing continues
type Nothing = void | undefined

export type HookResult<H extends Hookpoint> = H['kind'] extends 'gate'
  ? Nothing | Reject
  : H['kind'] extends 'observe'
    ? Nothing
    : H['kind'] extends 'transform'
      ? Nothing | Reject | Replace<EventInput<H>>
      : Nothing | Reject | ReplyInput<H>

export type Hook<H extends Hookpoint, Config = unknown, Offered extends Services = Services> = (
  event: HookEvent<EventOutput<H>>,
  ctx: HookContext<Config, Offered>,
) => MaybePromise<HookResult<H>>

/** What setup returns: any of the contract's hooks, and the two ends of the plugin's life. */
export type PluginHooks<Points extends Hookpoints, Config = unknown, Offered extends Services = Services> = {
  readonly [Name in keyof Points]?: Hook<Points[Name], Config, Offered>
} & {
  /** The server is shutting down and its connections are still open: flush here. */
  onShutdown?(): MaybePromise<Nothing>
  /** Called exactly once, last. */
  destroy?(): MaybePromise<Nothing>
}

export interface PluginOptions<
  Points extends Hookpoints,
  Schema extends AnySchema,
  Offered extends Services = Services,
> {
  /** Lower-case letters, digits and dashes. */
  name: string
  /** Schema of the config; without one the config must be absent. */
  config?: Schema
  /** Runs once per lane, before its first call. Closures are the plugin's state; it lives as long as the lane. */
  setup(
    context: SetupContext<SchemaOutput<Schema>, Offered>,
  ): MaybePromise<PluginHooks<Points, SchemaOutput<Schema>, Offered>>
}

/** A plugin as its module exports it by default. */
export interface Plugin<Points extends Hookpoints = Hookpoints, Schema extends AnySchema = AnySchema> {
  readonly [PLUGIN_BRAND]: 1
  readonly name: string
  readonly contract: {
    readonly name: string
    readonly version: number
    readonly hookpoints: Readonly<Record<string, HookpointKind>>
  }
  /** The contract itself, with its schemas: for tools that load a plugin and have to make events for it. */
  readonly writtenFor: Contract<Points>
  readonly config: Schema | undefined
  readonly setup: PluginOptions<Points, Schema>['setup']
}

/** Defines a plugin for a contract; export the result by default. What is wrong with it is said when it is loaded. */
export function definePlugin<
  Points extends Hookpoints,
  Offered extends Services,
  Schema extends AnySchema = AnySchema<undefined, undefined>,
>(contract: Contract<Points, Offered>, options: PluginOptions<Points, Schema, Offered>): Plugin<Points, Schema> {
  const kinds: Record<string, HookpointKind> = {}
  for (const [key, point] of Object.entries(contract.hookpoints)) kinds[key] = point.kind
  return {
    [PLUGIN_BRAND]: 1,
    name: options.name,
    contract: { name: contract.name, version: contract.version, hookpoints: kinds },
    writtenFor: contract,
    config: options.config,
    setup: options.setup as Plugin<Points, Schema>['setup'],
  }
}

/** Refuses the operation. `code` is the protocol's number for the refusal, where it has one (MQTT, gRPC). */
export function reject(reason: string, code?: number): Reject {
  return { [VERDICT_BRAND]: 'reject', reason, code }
}

/** Lets the operation proceed with another event: a complete one, for example `{ ...event.copy(), topic }`. */
export function replace<E>(event: E): Replace<E> {
  return { [VERDICT_BRAND]: 'replace', event }
}
