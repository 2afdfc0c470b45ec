/**
 * The rules of the gRPC interceptor: which hookpoints are asked around which RPC, and how messages become events. Types
 * for users, and the check that runs once, when the interceptor is made, on the host's thread.
 */
import type { Metadata } from '@grpc/grpc-js'
import {
  type Contract,
  type EventInput,
  type EventOutput,
  type Hookpoint,
  type HookpointKind,
  type Hookpoints,
  HookringError,
  type ReplyOutput,
} from '../../contracts/index.js'
import type { HookpointsOf } from './engine.js'

/** The RPC that a rule is applied to. */
export interface RpcCall {
  /** `/package.Service/Method`. */
  readonly path: string
  /** The client's metadata, as earlier interceptors left it. */
  readonly metadata: Metadata
  /** Address of the client, or `unknown`. */
  readonly peer: string
  /** The client's deadline in milliseconds since the Unix epoch; Infinity without one. */
  readonly deadlineMs: number
  /** Aborted when the RPC ends (cancelled, past its deadline, by its handler) while a hookpoint is being asked. */
  readonly signal: AbortSignal
}

/** How a handler ended its RPC. */
export interface RpcOutcome<Request = unknown, Response = unknown> {
  readonly call: RpcCall
  /** The last request message that the handler was given, and how many there were. */
  readonly request: Request
  readonly requestCount: number
  /** The last response message that the handler sent (undefined if none), and how many there were. */
  readonly response: Response
  readonly responseCount: number
  /** What the handler ended the RPC with. A stream that the client broke off ends CANCELLED or DEADLINE_EXCEEDED. */
  readonly status: { readonly code: number; readonly details: string }
  /** The client was gone before the handler had finished. */
  readonly isCancelled: boolean
}

interface Named<Name> {
  /** The hookpoint that is asked. */
  hookpoint: Name
}

/**
 * One event, or several of one kind. `undefined` (or an empty list) asks nothing. Several events of a gate are asked in
 * the same turn and the first reject in their order decides; those of transform and respond go one after the other.
 */
type Events<H extends Hookpoint> =
  | {
      /** The event for a message; `undefined` asks nothing. */
      event(request: unknown, call: RpcCall): EventInput<H> | undefined
      /** Has no place beside `event`. */
      events?: never
    }
  | {
      /** The events for a message that has several; none asks nothing. */
      events(request: unknown, call: RpcCall): Iterable<EventInput<H>>
      /** Has no place beside `events`. */
      event?: never
    }

type Effect<H extends Hookpoint> = H['kind'] extends 'transform'
  ? {
      /** Makes the request that the handler sees from the one it would have seen and the plugins' event. */
      replace(request: unknown, event: EventOutput<H>, call: RpcCall): unknown
    }
  : H['kind'] extends 'respond'
    ? {
        /** Makes the response that ends the RPC from the plugins' answer; the handler does not see the request. */
        answer(value: ReplyOutput<H>, request: unknown, call: RpcCall): unknown
      }
    : object

/**
 * Asked for each request message before the handler sees it, after earlier interceptors. Gate, transform and respond are
 * waited for; an observe hookpoint is told that the message arrived.
 */
export type BeforeRule<Points extends Hookpoints> = {
  [Name in keyof Points & string]: Named<Name> & Events<Points[Name]> & Effect<Points[Name]>
}[keyof Points & string]

/**
 * Told when the handler has ended the RPC. An RPC that a before-rule refused or answered is not told: its handler had no
 * part in it.
 */
export type AfterRule<Points extends Hookpoints> = {
  [Name in HookpointsOf<Points, 'observe'>]: Named<Name> & {
    /** `success`: the handler ended the RPC with OK (the default). `failure`: with anything else. `always`: both. */
    when?: 'success' | 'failure' | 'always'
    /** `undefined` tells nothing. */
    event(outcome: RpcOutcome): EventInput<Points[Name]> | undefined
  }
}[HookpointsOf<Points, 'observe'>]

/**
 * Asked when the call begins, with its metadata, before its handler and any message: so for a stream that sends nothing, too.
 * Gates are waited for, observe hookpoints are told.
 */
export type StartRule<Points extends Hookpoints> = {
  [Name in HookpointsOf<Points, 'gate' | 'observe'>]: Named<Name> & {
    /** `undefined` asks nothing. */
    event(call: RpcCall): EventInput<Points[Name]> | undefined
  }
}[HookpointsOf<Points, 'gate' | 'observe'>]

export interface MethodRules<Points extends Hookpoints> {
  start?: StartRule<Points> | readonly StartRule<Points>[]
  before?: BeforeRule<Points> | readonly BeforeRule<Points>[]
  after?: AfterRule<Points> | readonly AfterRule<Points>[]
}

/**
 * Rules by full method name, `{ '/delivery.v1.Delivery/Enqueue': { before: ..., after: ... } }`, or by a prefix that ends
 * with `*`: `/delivery.v1.Delivery/*`, `/delivery.*`, `/*`. Of those that fit a method the longest applies, and no other; the
 * full name goes before every prefix.
 */
export type RpcRules<Points extends Hookpoints> = Readonly<Record<string, MethodRules<Points>>>

export interface CheckedBeforeRule {
  readonly hookpoint: string
  readonly kind: HookpointKind
  eventsOf(request: unknown, call: RpcCall): unknown[]
  replace(request: unknown, event: unknown, call: RpcCall): unknown
  answer(value: unknown, request: unknown, call: RpcCall): unknown
}

export interface CheckedAfterRule {
  readonly hookpoint: string
  readonly when: 'success' | 'failure' | 'always'
  event(outcome: RpcOutcome): unknown
}

export interface CheckedMethod {
  readonly start: readonly CheckedBeforeRule[]
  readonly before: readonly CheckedBeforeRule[]
  readonly after: readonly CheckedAfterRule[]
}

// What users may pass in plain JavaScript; the checks below decide what it is.
type LooseRule = Record<string, unknown>
type AnyFunction = (...args: unknown[]) => unknown

/** The rules of a method by its full name; null: there are none. */
export type RuleLookup = (path: string) => CheckedMethod | null

/**
 * Checks rules against the contract.
 *
 * @throws HookringError HOOKPOINT_UNKNOWN for a name that the contract does not have, OPTIONS_INVALID for anything else
 */
export function checkRules(contract: Contract, rules: unknown): RuleLookup {
  const exact = new Map<string, CheckedMethod>()
  const prefixes: { prefix: string; method: CheckedMethod }[] = []
  for (const [path, value] of Object.entries(objectOf(rules, []))) {
    const method = checkMethod(contract, value, path)
    if (/^\/[^/*]+\/[^/*]+$/.test(path)) exact.set(path, method)
    else if (/^\/[^*]*\*$/.test(path)) prefixes.push({ prefix: path.slice(0, -1), method })
    else throw invalid([path], 'must be a full method name, /package.Service/Method, or a prefix that ends with *')
  }
  if (prefixes.length === 0) return (path) => exact.get(path) ?? null
  prefixes.sort((a, b) => b.prefix.length - a.prefix.length)
  return (path) => exact.get(path) ?? prefixes.find(({ prefix }) => path.startsWith(prefix))?.method ?? null
}

function checkMethod(contract: Contract, value: unknown, path: string): CheckedMethod {
  const { start, before, after, ...rest } = objectOf(value, [path])
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) {
    throw invalid([path, unknown], "is not known; a method has 'start', 'before' and 'after'")
  }
  return {
    start: listOf(start).map((rule, index) => checkStart(contract, rule, [path, 'start', index])),
    before: listOf(before).map((rule, index) => checkBefore(contract, rule, [path, 'before', index])),
    after: listOf(after).map((rule, index) => checkAfter(contract, rule, [path, 'after', index])),
  }
}

type Path = readonly (string | number)[]

function checkStart(contract: Contract, value: unknown, path: Path): CheckedBeforeRule {
  const rule = objectOf(value, path)
  const { hookpoint, kind } = checkHookpoint(contract, rule, path)
  if (kind !== 'gate' && kind !== 'observe') {
    const problem = `${hookpoint} is a ${kind} hookpoint; at the start only gates can be asked, and observe told`
    throw invalid([...path, 'hookpoint'], problem)
  }
  const event = functionOf(rule, 'event', path)
  return {
    hookpoint,
    kind,
    eventsOf(_, call) {
      const single = event(call)
      return single === undefined ? [] : [single]
    },
    replace: unused,
    answer: unused,
  }
}

function checkBefore(contract: Contract, value: unknown, path: Path): CheckedBeforeRule {
  const rule = objectOf(value, path)
  const { hookpoint, kind } = checkHookpoint(contract, rule, path)
  const { event, events } = rule
  if ((event === undefined) === (events === undefined)) throw invalid(path, "needs either 'event' or 'events'")
  const one = event === undefined ? null : functionOf(rule, 'event', path)
  const many = one === null ? functionOf(rule, 'events', path) : null
  return {
    hookpoint,
    kind,
    eventsOf(request, call) {
      if (many !== null) return [...(many(request, call) as Iterable<unknown>)]
      const single = one?.(request, call)
      return single === undefined ? [] : [single]
    },
    replace: kind === 'transform' ? functionOf(rule, 'replace', path) : unused,
    answer: kind === 'respond' ? functionOf(rule, 'answer', path) : unused,
  }
}

function checkAfter(contract: Contract, value: unknown, path: Path): CheckedAfterRule {
  const rule = objectOf(value, path)
  const { hookpoint, kind } = checkHookpoint(contract, rule, path)
  if (kind !== 'observe') {
    throw invalid(
      [...path, 'hookpoint'],
      `${hookpoint} is a ${kind} hookpoint; after the handler only observe can be told`,
    )
  }
  const when = rule.when ?? 'success'
  if (when !== 'success' && when !== 'failure' && when !== 'always') {
    throw invalid([...path, 'when'], "must be 'success', 'failure' or 'always'")
  }
  return { hookpoint, when, event: functionOf(rule, 'event', path) }
}

function checkHookpoint(contract: Contract, rule: LooseRule, path: Path): { hookpoint: string; kind: HookpointKind } {
  const { hookpoint } = rule
  if (typeof hookpoint !== 'string') throw invalid([...path, 'hookpoint'], 'must be the name of a hookpoint')
  const point = Object.hasOwn(contract.hookpoints, hookpoint) ? contract.hookpoints[hookpoint] : undefined
  if (point === undefined) {
    const names = Object.keys(contract.hookpoints).join(', ')
    throw new HookringError('HOOKPOINT_UNKNOWN', `${contract.id} has no hookpoint ${hookpoint}; it has ${names}`, {
      path: [...path, 'hookpoint'],
      hookpoint,
    })
  }
  return { hookpoint, kind: point.kind }
}

function functionOf(rule: LooseRule, key: string, path: Path): AnyFunction {
  const value = rule[key]
  if (typeof value !== 'function') throw invalid([...path, key], 'must be a function')
  return (...args) => Reflect.apply(value, rule, args)
}

function objectOf(value: unknown, path: Path): LooseRule {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, 'must be an object')
  return value as LooseRule
}

function listOf(value: unknown): unknown[] {
  if (value === undefined) return []
  return Array.isArray(value) ? value : [value]
}

function invalid(path: Path, problem: string): HookringError {
  return new HookringError(
    'OPTIONS_INVALID',
    `rules${path.map((part) => `[${JSON.stringify(part)}]`).join('')}: ${problem}`,
    {
      path: ['rules', ...path],
    },
  )
}

function unused(): never {
  throw new Error('not a rule of this kind')
}
