/**
 * Asks and tells an engine about requests, for every door. A question has one of three outcomes, *allowed*, *refused* by a
 * plugin, or *undecided*; asking never rejects. One per door; host's thread only.
 *
 * | what happened                                        | status               |
 * |------------------------------------------------------|----------------------|
 * | a plugin refused                                     | its code if that is 400 to 599, otherwise 403 |
 * | a plugin failed: timeout                             | 504                  |
 * | a plugin failed otherwise; the engine is closed      | 503, with Retry-After |
 * | the event is larger than the engine takes            | 413 with a body, otherwise 414 or 431 |
 * | no event could be made of the request                | 400                  |
 * | a function of the operator's threw                   | 500                  |
 * | the client has left                                  | nothing is sent      |
 */
import { randomUUID } from 'node:crypto'
import { FRAMING_HEADERS } from '../../contracts/http-options.js'
import { type Failure, type Hookpoints, HookringError, isUndecided, type Verdict } from '../../contracts/index.js'
import type { CallOptions } from '../../index.js'
import { ErrorReports } from '../reporting/error-reports.js'
import type { AskingEngine } from './engine.js'
import { type HttpOptions, parseHttpOptions, type ResolvedOptions } from './options.js'
import type { CheckedReply, HttpReply, Outcome, Refused, Undecided } from './outcomes.js'
import { checkReply, problemOf } from './replies.js'
import type { HookedRequest } from './request.js'
import {
  type CheckedStage,
  type CheckedStages,
  checkStages,
  type HookedMessage,
  type HookedResponse,
} from './stages.js'

/** What a door has counted since it was made. */
export interface HttpCounts {
  /** Requests that were asked about, upgrades too. */
  asked: number
  refused: number
  undecided: number
  /** By a plugin, in the handler's place. */
  answered: number
  /** Clients that left while they were asked about. */
  gone: number
  /** Headers of answers that are not on the list. */
  headersLeftOut: number
  /** Answers that cannot be sent. */
  answersInvalid: number
  messagesAsked: number
  messagesRefused: number
  messagesUndecided: number
}

export type StageName = keyof CheckedStages
type RequestStage = 'onRequest' | 'onRoute' | 'onUpgrade'
type LooseHook = (event: unknown, options: CallOptions) => Promise<Verdict> | undefined

export const ALLOWED: Outcome = Object.freeze({ kind: 'allowed' })
export const GONE: Outcome = Object.freeze({ kind: 'gone' })

/** What a client may know of an undecided question, and no more. */
const NEUTRAL = {
  400: 'the request could not be checked',
  408: 'the request did not arrive in time',
  413: 'the request is too large',
  414: 'the URL is too long',
  431: 'the headers are too large',
  500: 'the request could not be checked',
  503: 'the request could not be checked, try again later',
  504: 'the request could not be checked in time',
} as const
/** The longest trace id that engines take. */
const MAX_TRACE_ID_BYTES = 256

export class HttpHooks<Points extends Hookpoints = Hookpoints> {
  readonly options: ResolvedOptions
  readonly counts: HttpCounts = {
    asked: 0,
    refused: 0,
    undecided: 0,
    answered: 0,
    gone: 0,
    headersLeftOut: 0,
    answersInvalid: 0,
    messagesAsked: 0,
    messagesRefused: 0,
    messagesUndecided: 0,
  }
  readonly #engine: AskingEngine<Points>
  readonly #hooks: Readonly<Record<string, LooseHook>>
  readonly #stages: CheckedStages
  readonly #reports: ErrorReports
  #gathering: Promise<void> | null = null

  /** @throws HookringError OPTIONS_INVALID or HOOKPOINT_UNKNOWN */
  constructor(engine: AskingEngine<Points>, options: HttpOptions<Points>, door: string) {
    if (engine?.contract?.hookpoints === undefined || engine.hooks === undefined) {
      throw new HookringError('OPTIONS_INVALID', `${door}: engine: must have a contract and hooks`, {
        path: ['engine'],
      })
    }
    this.#engine = engine
    this.#hooks = engine.hooks as unknown as Readonly<Record<string, LooseHook>>
    this.options = parseHttpOptions(options, door)
    const { headers } = this.options
    this.#stages = checkStages({ contract: engine.contract, stages: options.stages, headers, door })
    this.#reports = new ErrorReports(door, this.options.onError)
  }

  /** Whether anybody would be asked or told. */
  isSubscribed(stage: StageName): boolean {
    const checked = this.#stages[stage]
    return checked !== null && this.#engine.isSubscribed(checked.hookpoint)
  }

  /** Asks a gate, or for an answer. */
  async ask(stage: RequestStage, request: HookedRequest, signal: AbortSignal): Promise<Outcome> {
    const checked = this.#stages[stage]
    if (checked === null) return ALLOWED
    if (stage !== 'onRoute') {
      this.counts.asked += 1
      await this.#gathered()
    }
    const outcome = await this.#askStage(checked, request, { request, signal })
    return signal.aborted ? this.left() : this.count(outcome)
  }

  /**
   * The end of this poll of the sockets. What came with it is asked about together: the engine publishes once a turn, and each
   * socket is a turn of its own, so that a lane would be woken for each.
   */
  #gathered(): Promise<void> {
    this.#gathering ??= new Promise((resolve) =>
      setImmediate(() => {
        this.#gathering = null
        resolve()
      }),
    )
    return this.#gathering
  }

  async askMessage(message: HookedMessage, signal: AbortSignal): Promise<Outcome> {
    const stage = this.#stages.onMessage
    if (stage === null) return ALLOWED
    this.counts.messagesAsked += 1
    const asked = await this.#askStage(stage, message, { request: message.request, signal })
    const isTooLarge = asked.kind === 'undecided' && [413, 414, 431].includes(asked.status)
    const outcome = isTooLarge ? { ...asked, status: 413 } : asked
    if (outcome.kind === 'refused') this.counts.messagesRefused += 1
    else if (outcome.kind === 'undecided') this.counts.messagesUndecided += 1
    return outcome
  }

  /** Never throws: the response is the client's, whatever an observer thinks of it. */
  tell(response: HookedResponse): void {
    const stage = this.#stages.onResponse
    if (stage === null) return
    try {
      const event = stage.event(response)
      if (event !== undefined) void this.#call(stage, event, this.#callOptions(response.request))
    } catch (error) {
      this.report(error, stage.hookpoint)
    }
  }

  /** The response to what was refused or undecided. */
  replyTo(outcome: Refused | Undecided, request: HookedRequest): CheckedReply {
    const { respond, retryAfterSeconds } = this.options
    if (respond !== undefined) {
      try {
        const reply = respond(outcome, request)
        if (reply !== undefined) return checkReply(reply, OPERATORS_OWN)
      } catch (error) {
        this.report(error, 'respond')
      }
    }
    return problemOf(outcome, retryAfterSeconds)
  }

  /** Nobody has been asked, for a reason of the request's or the operator's. */
  undecided(stage: StageName, status: keyof typeof NEUTRAL, error?: unknown): Outcome {
    const hookpoint = this.#stages[stage]?.hookpoint ?? stage
    if (status === 500) this.report(error, hookpoint)
    return this.count({ kind: 'undecided', status, reason: NEUTRAL[status], hookpoint, error })
  }

  left(): Outcome {
    this.counts.gone += 1
    return GONE
  }

  count(outcome: Outcome): Outcome {
    if (outcome.kind !== 'allowed') this.counts[outcome.kind] += 1
    return outcome
  }

  report(error: unknown, place: string): void {
    this.#reports.report(error, place)
  }

  /** The operator's, the framework's, or a new one. */
  requestIdOf(raw: unknown): string {
    const { requestId } = this.options
    const id: unknown = requestId === undefined ? (raw as { readonly id?: unknown }).id : this.#chosen('requestId', raw)
    if (typeof id === 'string' && id !== '') return id
    return typeof id === 'number' ? String(id) : randomUUID()
  }

  /** The operator's, or what the door knows. */
  addressOf(raw: unknown, otherwise: () => string | undefined): string {
    const address = this.options.clientAddress === undefined ? otherwise() : this.#chosen('clientAddress', raw)
    return typeof address === 'string' ? address : ''
  }

  #chosen(name: 'requestId' | 'clientAddress', raw: unknown): unknown {
    try {
      return this.options[name]?.(raw)
    } catch (error) {
      this.report(error, name)
      return undefined
    }
  }

  async #askStage<Subject>(
    stage: CheckedStage<Subject>,
    subject: Subject,
    { request, signal }: { request: HookedRequest; signal: AbortSignal },
  ): Promise<Outcome> {
    let event: unknown
    try {
      event = stage.event(subject)
      if (event === undefined) return ALLOWED
      const verdict = await this.#call(stage, event, { ...this.#callOptions(request), signal })
      return verdict === undefined ? ALLOWED : this.#outcomeOf(stage, verdict, request)
    } catch (error) {
      return this.#failed(error, stage.hookpoint, request)
    }
  }

  #call(stage: { readonly hookpoint: string }, event: unknown, options: CallOptions): Promise<Verdict> | undefined {
    return this.#hooks[stage.hookpoint]?.(event, options)
  }

  #callOptions(request: HookedRequest): CallOptions {
    const { timeoutMs, traceId: chosen } = this.options
    const traceId = chosen === undefined ? request.requestId : chosen(request)
    return {
      ...(timeoutMs !== undefined && { timeoutMs }),
      // It may come from a client: one that is too long is left out, it is no reason to refuse the request.
      ...(typeof traceId === 'string' && Buffer.byteLength(traceId) <= MAX_TRACE_ID_BYTES && { traceId }),
    }
  }

  #outcomeOf<Subject>(stage: CheckedStage<Subject>, verdict: Verdict, request: HookedRequest): Outcome {
    const { hookpoint } = stage
    switch (verdict.kind) {
      case 'reject':
        if (isUndecided(verdict)) return undecidedBy(verdict.failure as Failure, hookpoint)
        return {
          kind: 'refused',
          status: isErrorStatus(verdict.code) ? verdict.code : 403,
          reason: verdict.reason,
          plugin: verdict.plugin,
          hookpoint,
        }
      case 'respond':
        return this.#answered(() => stage.answer(verdict.value, request), hookpoint)
      default:
        return ALLOWED
    }
  }

  #answered(reply: () => HttpReply, hookpoint: string): Outcome {
    try {
      const rules = {
        isAllowed: (name: string) => this.options.answerHeaders.has(name),
        onLeftOut: (name: string) => {
          this.counts.headersLeftOut += 1
          const problem = `${hookpoint}: a plugin's answer sets ${name}, which is not among answerHeaders: it is left out`
          this.report(new HookringError('RESPONSE_INVALID', problem), `${hookpoint}, a header that is not allowed`)
        },
      }
      return { kind: 'answered', reply: checkReply(reply(), rules) }
    } catch (error) {
      this.counts.answersInvalid += 1
      this.report(error, `${hookpoint}, an answer`)
      return undecided(503, hookpoint, error)
    }
  }

  /** An error of asking: who cannot be asked has not agreed. */
  #failed(error: unknown, hookpoint: string, request: HookedRequest): Outcome {
    const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown }
    switch (error instanceof HookringError ? code : undefined) {
      case 'CALL_ABORTED':
        return GONE
      case 'ENGINE_CLOSED':
        return undecided(503, hookpoint, error)
      case 'PLUGIN_FAILED':
        return undecidedBy(cause as Failure | undefined, hookpoint, error)
      case 'EVENT_TOO_LARGE':
        return undecided(tooLarge(request), hookpoint, error)
      case 'EVENT_INVALID':
        this.report(error, hookpoint)
        return undecided(400, hookpoint, error)
      default:
        this.report(error, hookpoint)
        return undecided(500, hookpoint, error)
    }
  }
}

/** The operator may set any header but those that are the server's own. */
const OPERATORS_OWN = { isAllowed: (name: string) => !FRAMING_HEADERS.has(name), onLeftOut: () => {} }

function undecided(status: keyof typeof NEUTRAL, hookpoint: string, error?: unknown, failure?: Failure): Undecided {
  return { kind: 'undecided', status, reason: NEUTRAL[status], hookpoint, failure, error }
}

function undecidedBy(failure: Failure | undefined, hookpoint: string, error?: unknown): Undecided {
  return undecided(failure?.kind === 'timeout' ? 504 : 503, hookpoint, error, failure)
}

function isErrorStatus(code: number | undefined): code is number {
  return Number.isInteger(code) && (code as number) >= 400 && (code as number) <= 599
}

function tooLarge({ body, path, search }: HookedRequest): 413 | 414 | 431 {
  if (body !== null && body.length > 0) return 413
  // Servers bound all headers together at some KiB: of what is larger than an event, half or more is the URL, or is not.
  return path.length + search.length > MAX_URL_CHARS ? 414 : 431
}

const MAX_URL_CHARS = 8 * 1024
