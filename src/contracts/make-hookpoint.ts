/** What contracts are made with: the four kinds of hookpoint, and services. Any thread. */
import type { LayoutPlan } from './codec/plan.js'
import type { ChainOrder, Hookpoint, HookpointKind, Service } from './contract.js'
import { HookringError, thrownText } from './errors.js'
import type { Schema } from './schema.js'

export interface GateOptions {
  /** Of a gate: `parallel` asks all bulkheads of the chain at once; the first reject by priority decides. Default `sequential`. */
  order?: ChainOrder
}

export interface ReplyOptions {
  /** Of transform and respond, in bytes: extra room for a replacement, or the most that an answer may have. Default 4,096. */
  maxReplyBytes?: number
}

export interface TransformOptions extends ReplyOptions {
  /** Of transform: a boolean field of the event; a replacement in which it is true ends the chain. Such a hookpoint asks its plugins one by one, each in a hop of its own. */
  endsOn?: string
}

/** A hookpoint that asks: plugins continue or reject. */
export function gate<E extends Schema>(event: E, options: GateOptions = {}): Hookpoint<'gate', E, never> {
  return hookpoint('gate', event, null as never, { order: optionOf(options, 'order') })
}

/** A hookpoint that tells: plugins return nothing, the server does not wait. */
export function observe<E extends Schema>(event: E): Hookpoint<'observe', E, never> {
  return hookpoint('observe', event, null as never, {})
}

/** A hookpoint whose plugins may replace the event, or reject. */
export function transform<E extends Schema>(
  event: E,
  options: TransformOptions = {},
): Hookpoint<'transform', E, never> {
  const maxReplyBytes = optionOf(options, 'maxReplyBytes')
  return hookpoint('transform', event, null as never, { maxReplyBytes, endsOn: optionOf(options, 'endsOn') })
}

/** A hookpoint whose first returned value is the answer. */
export function respond<E extends Schema, R extends Schema>(
  event: E,
  reply: R,
  options: ReplyOptions = {},
): Hookpoint<'respond', E, R> {
  return hookpoint('respond', event, reply, { maxReplyBytes: optionOf(options, 'maxReplyBytes') })
}

/** A service of a contract: `{ services: { publish: service(z.object({ topic: z.string() }), z.void()) } }`. */
export function service<I extends Schema, O extends Schema>(input: I, output: O): Service<I, O> {
  return { input, output }
}

function optionOf<Options extends object, Key extends keyof Options>(options: Options, key: Key): Options[Key] {
  try {
    return options[key]
  } catch (cause) {
    throw new HookringError('CONTRACT_INVALID', `${String(key)} could not be read: ${thrownText(cause)}`, { cause })
  }
}

interface PointOptions {
  order?: ChainOrder | undefined
  maxReplyBytes?: number | undefined
  endsOn?: string | undefined
}

function hookpoint<Kind extends HookpointKind, E extends Schema, R extends Schema>(
  kind: Kind,
  event: E,
  reply: R,
  { order, maxReplyBytes, endsOn }: PointOptions,
): Hookpoint<Kind, E, R> {
  return {
    kind,
    event,
    reply,
    order: order ?? 'sequential',
    maxReplyBytes: maxReplyBytes ?? null,
    endsOn: endsOn ?? null,
    // The contract that it becomes part of knows the path to name in an error.
    plan: UNCOMPILED,
    replyPlan: null,
  }
}

const UNCOMPILED: LayoutPlan = { root: { kind: 'json', fixedBytes: 8 }, fixedBytes: 8 }
