/**
 * Which hookpoints are asked at which stage of a request, and how a request becomes an event. For http@1 they go without
 * saying; for other contracts the operator says them. Types for users, and the check that runs once, when a door is made.
 */

import { CREDENTIAL_HEADERS } from '../../contracts/http-options.js'
import {
  type Contract,
  type EventInput,
  type HookpointKind,
  type Hookpoints,
  HookringError,
  type HttpContract,
  type ReplyOutput,
} from '../../contracts/index.js'
import type { HookpointsOf } from './engine.js'
import type { HttpReply } from './outcomes.js'
import type { HookedRequest } from './request.js'

/** How a request ended. */
export interface HookedResponse {
  readonly request: HookedRequest
  readonly status: number
  readonly durationMs: number
  /** Of the body. */
  readonly bytes: number
  /** The client was gone before it had ended. */
  readonly isAborted: boolean
}

/** A message of an open socket. */
export interface HookedMessage {
  /** The request that the socket began with. */
  readonly request: HookedRequest
  /** A number of the socket's own. */
  readonly socket: number
  readonly isBinary: boolean
  /** Socket.IO: the event's name. */
  readonly event: string | null
  readonly data: Uint8Array<ArrayBuffer>
}

/** A hookpoint, and what makes its event; `undefined` asks nothing. */
type StageOf<Points extends Hookpoints, Kind extends HookpointKind, Subject> = {
  [Name in HookpointsOf<Points, Kind>]: {
    hookpoint: Name
    event(subject: Subject): EventInput<Points[Name]> | undefined
  }
}[HookpointsOf<Points, Kind>]

/** A respond hookpoint, and what makes a response of its answer. */
type RouteStage<Points extends Hookpoints> = {
  [Name in HookpointsOf<Points, 'respond'>]: {
    hookpoint: Name
    event(request: HookedRequest): EventInput<Points[Name]> | undefined
    answer(value: ReplyOutput<Points[Name]>, request: HookedRequest): HttpReply
  }
}[HookpointsOf<Points, 'respond'>]

export interface Stages<Points extends Hookpoints> {
  onRequest?: StageOf<Points, 'gate', HookedRequest>
  onRoute?: RouteStage<Points>
  onResponse?: StageOf<Points, 'observe', HookedResponse>
  onUpgrade?: StageOf<Points, 'gate', HookedRequest>
  onMessage?: StageOf<Points, 'gate', HookedMessage>
}

export interface CheckedStage<Subject = never> {
  readonly hookpoint: string
  event(subject: Subject): unknown
  answer(value: unknown, request: HookedRequest): HttpReply
}

export interface CheckedStages {
  readonly onRequest: CheckedStage<HookedRequest> | null
  readonly onRoute: CheckedStage<HookedRequest> | null
  readonly onResponse: CheckedStage<HookedResponse> | null
  readonly onUpgrade: CheckedStage<HookedRequest> | null
  readonly onMessage: CheckedStage<HookedMessage> | null
}

const KINDS = {
  onRequest: 'gate',
  onRoute: 'respond',
  onResponse: 'observe',
  onUpgrade: 'gate',
  onMessage: 'gate',
} as const satisfies Record<keyof CheckedStages, HookpointKind>

export interface StagesOptions {
  readonly contract: Contract
  readonly stages: unknown
  readonly headers: readonly string[]
  readonly door: string
}

/** @throws HookringError OPTIONS_INVALID or HOOKPOINT_UNKNOWN, with the path of the stage */
export function checkStages({ contract, stages, headers, door }: StagesOptions): CheckedStages {
  const isOurs = contract.name === 'http' && contract.version === 1
  const given = (stages ?? {}) as Readonly<Record<string, unknown>>
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(KINDS, name))
      throw wrong(door, [name], `is no stage; there are ${Object.keys(KINDS).join(', ')}`)
  }
  if (!isOurs && Object.keys(given).length === 0) {
    throw wrong(door, [], `must say which hookpoints of ${contract.id} are asked: it is not http@1`)
  }
  const checked: Record<string, unknown> = isOurs ? { ...defaultStages(headers) } : {}
  for (const [name, kind] of Object.entries(KINDS)) {
    if (given[name] !== undefined) checked[name] = checkStage(contract, given[name], { name, kind, door })
    checked[name] ??= null
  }
  return checked as unknown as CheckedStages
}

function checkStage(
  contract: Contract,
  stage: unknown,
  { name, kind, door }: { name: string; kind: HookpointKind; door: string },
): CheckedStage {
  const { hookpoint, event, answer } = (stage ?? {}) as Record<string, unknown>
  const point =
    typeof hookpoint === 'string' && Object.hasOwn(contract.hookpoints, hookpoint)
      ? contract.hookpoints[hookpoint]
      : undefined
  if (point === undefined) {
    const problem = `${door}: stages.${name}.hookpoint: ${contract.id} has ${Object.keys(contract.hookpoints).join(', ')}`
    throw new HookringError('HOOKPOINT_UNKNOWN', problem, { path: ['stages', name, 'hookpoint'] })
  }
  if (point.kind !== kind)
    throw wrong(door, [name, 'hookpoint'], `must be a ${kind}, ${String(hookpoint)} is a ${point.kind}`)
  if (typeof event !== 'function') throw wrong(door, [name, 'event'], 'must be a function that makes the event')
  if (kind === 'respond' && typeof answer !== 'function') {
    throw wrong(door, [name, 'answer'], 'must be a function that makes a response of the answer')
  }
  return {
    hookpoint: hookpoint as string,
    event: (subject) => Reflect.apply(event as () => unknown, stage, [subject]),
    answer: (value, request) => Reflect.apply(answer as () => HttpReply, stage, [value, request]),
  }
}

function wrong(door: string, path: readonly string[], problem: string): HookringError {
  const full = ['stages', ...path]
  return new HookringError('OPTIONS_INVALID', `${door}: ${full.join('.')}: ${problem}`, { path: full })
}

/** Those of http@1. */
function defaultStages(headers: readonly string[]): CheckedStages {
  const shown = headers.filter((name) => !CREDENTIAL_HEADERS.has(name))
  const credentials = headers.filter((name) => CREDENTIAL_HEADERS.has(name))
  const peer = ({ method, path, route, clientAddress, requestId }: HookedRequest) => ({
    method,
    path,
    route,
    clientAddress,
    requestId,
  })
  const request = (one: HookedRequest) => ({
    method: one.method,
    path: one.path,
    route: one.route,
    clientAddress: one.clientAddress,
    requestId: one.requestId,
    query: one.query as Record<string, string[]>,
    headers: pick(one, shown),
    credentials: pick(one, credentials),
    tlsSubject: one.tlsSubject,
  })
  type Points = HttpContract['hookpoints']
  const requestEvent = (one: HookedRequest): EventInput<Points['onRequest']> => ({ ...request(one), body: one.body })
  const answer = (value: unknown): HttpReply => value as ReplyOutput<Points['onRoute']>
  return {
    onRequest: { hookpoint: 'onRequest', event: requestEvent, answer },
    onRoute: { hookpoint: 'onRoute', event: requestEvent, answer },
    onResponse: {
      hookpoint: 'onResponse',
      event: ({ request: of, status, durationMs, bytes, isAborted }): EventInput<Points['onResponse']> => ({
        ...peer(of),
        status,
        durationMs,
        bytes,
        isAborted,
      }),
      answer,
    },
    onUpgrade: {
      hookpoint: 'onUpgrade',
      event: (one): EventInput<Points['onUpgrade']> => ({ ...request(one), protocols: [...one.protocols] }),
      answer,
    },
    onMessage: {
      hookpoint: 'onMessage',
      event: ({ request: of, socket, isBinary, event, data }): EventInput<Points['onMessage']> => ({
        ...peer(of),
        socket,
        isBinary,
        event,
        data,
      }),
      answer,
    },
  }
}

function pick(request: HookedRequest, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = Object.create(null)
  for (const name of names) {
    const value = request.header(name)
    if (value !== undefined) picked[name] = value
  }
  return picked
}
