/**
 * One RPC of one version: makes an event of each request, asks or tells the engine, and answers. Whatever happens to an
 * event, a question is answered in the protocol's words. On the host's thread.
 */
import { type handleUnaryCall, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import {
  EXHOOK_RPCS,
  type ExhookRpc,
  type ExhookVersion,
  type Failure,
  type FailureKind,
  type Hookpoints,
  HookringError,
  isUndecided,
  type Verdict,
} from '../../contracts/index.js'
import type { CallOptions, Logger } from '../../index.js'
import { errorStatus, plain } from '../grpc/status.js'
import { answerOf, inSwappedNumbers, undecidedAnswer } from './answers.js'
import type { BrokerVersions } from './broker-versions.js'
import { contractVersionOf, type ExhookEngine } from './engine.js'
import { wantedHooks } from './hook-specs.js'
import type { CheckedOptions } from './options.js'
import type { ValuedResponse, WireMessage } from './protocol.js'
import type { PartialStatus } from './refusals.js'
import { eventOf } from './requests.js'

/** What came of the calls of one RPC. */
export interface ExhookCount {
  readonly version: ExhookVersion
  readonly rpc: string
  readonly calls: number
  /** Questions that a plugin has answered with no. */
  readonly refused: number
  /** Questions that no plugin has decided: the answer is the failure policy's. */
  readonly undecided: number
  /** Requests that could not be put to the plugins: too large, invalid, the engine closed. Questions among them are undecided too. */
  readonly failed: number
}

export interface RpcParts<Points extends Hookpoints> {
  readonly version: ExhookVersion
  readonly rpc: ExhookRpc
  readonly engine: ExhookEngine<Points>
  readonly options: CheckedOptions
  readonly brokers: BrokerVersions
  /** Told of each failure; logs the first of each kind. */
  report(where: string, failure: { code: number; details: string }, error: unknown): void
}

type UnaryCall = ServerUnaryCall<WireMessage, object>
type Respond = sendUnaryData<object>
type LooseHook = (event: unknown, options?: CallOptions) => unknown

/** For the answer's way back: this long before the broker gives up, or a fifth of its time where that is less. */
const ANSWER_MARGIN_MS = 250
/** The broker had given up before anybody was asked. */
const TOO_LATE = new Error('the deadline of the call is over')

export class Rpc<Points extends Hookpoints> {
  readonly count: { -readonly [Key in keyof ExhookCount]: ExhookCount[Key] }
  readonly #parts: RpcParts<Points>
  readonly #contractVersion: ExhookVersion
  readonly #hookpoint: string
  readonly #logger: Logger

  constructor(parts: RpcParts<Points>) {
    const { version, rpc, engine, options } = parts
    this.#parts = parts
    this.#logger = options.logger
    this.#contractVersion = contractVersionOf(engine)
    const own = EXHOOK_RPCS[this.#contractVersion].find(({ subject }) => subject === rpc.subject) as ExhookRpc
    this.#hookpoint = own.hookpoint
    this.count = { version, rpc: rpc.rpc, calls: 0, refused: 0, undecided: 0, failed: 0 }
  }

  readonly handle: handleUnaryCall<WireMessage, object> = (call, respond) => {
    this.count.calls += 1
    if (this.#parts.rpc.isValued) void this.#answer(call, respond)
    else this.#acknowledge(call, respond)
  }

  /** gRPC has refused a request before it was read. Null: there is nothing to say in its place. */
  get stand(): ((refusal: PartialStatus, peer: string) => object) | null {
    // A broker that cannot load the provider is to know it.
    if (this.#parts.rpc.rpc === 'OnProviderLoaded') return null
    return ({ code, details }, peer) => {
      this.count.calls += 1
      const failure = { code: code ?? status.UNKNOWN, details: details ?? '' }
      const answer = this.#failed(failure, new HookringError('EVENT_TOO_LARGE', failure.details))
      return this.#parts.rpc.isValued ? this.#inNumbersOf(peer, null, answer(null, 'invalid')) : {}
    }
  }

  async #answer(call: UnaryCall, respond: Respond): Promise<void> {
    const { request } = call
    try {
      respond(null, this.#inNumbersOf(call.getPeer(), request, await this.#ask(call)))
    } catch (error) {
      if (error === TOO_LATE || codeOf(error) === 'CALL_ABORTED') {
        this.count.failed += 1
        respond(plain(status.DEADLINE_EXCEEDED, 'Deadline exceeded'))
        return
      }
      const answer = this.#failed(errorStatus(error), error)
      respond(null, this.#inNumbersOf(call.getPeer(), request, answer(request, failureKindOf(error))))
    }
  }

  async #ask(call: UnaryCall): Promise<ValuedResponse> {
    const { rpc, engine, options } = this.#parts
    const timeoutMs = patienceMs(call, options.requestTimeoutMs)
    const event = eventOf(rpc, call.request, this.#contractVersion)
    const given = new AbortController()
    // Nobody waits any more: a verdict that has not begun is taken back.
    call.once('cancelled', () => given.abort())
    const hook = (engine.hooks as unknown as Readonly<Record<string, LooseHook>>)[this.#hookpoint]
    const verdict = (await hook?.(event, { timeoutMs, signal: given.signal })) as Verdict
    this.#note(verdict)
    return answerOf(verdict, event)
  }

  /** The protocol has no place for a reason. */
  #note(verdict: Verdict): void {
    if (verdict.kind === 'respond') return
    const { failure } = verdict as { failure?: Failure }
    if (isUndecided(verdict)) this.count.undecided += 1
    else if (verdict.kind === 'reject') this.count.refused += 1
    if (verdict.kind !== 'reject') return
    const { version, rpc } = this.#parts
    const { plugin, reason } = verdict
    this.#logger.debug(
      { version, rpc: rpc.rpc, plugin, failure: failure?.kind },
      `refused: ${failure?.message ?? reason}`,
    )
  }

  #acknowledge(call: UnaryCall, respond: Respond): void {
    const { version, rpc, engine, options, brokers } = this.#parts
    const peer = call.getPeer()
    try {
      this.#tell(call.request)
    } catch (error) {
      const refusal = errorStatus(error)
      this.#failed(refusal, error)
      if (rpc.rpc === 'OnProviderLoaded') {
        respond(refusal)
        return
      }
    }
    if (rpc.rpc === 'OnProviderUnloaded') this.#logger.info({ version, peer }, 'a broker unloads the ExHook provider')
    if (rpc.rpc !== 'OnProviderLoaded') {
      respond(null, {})
      return
    }
    const hooks = wantedHooks(engine, version, options.topics)
    brokers.loaded(peer, call.request)
    const names = hooks.map(({ name }) => name)
    this.#logger.info({ version, peer, hooks: names }, 'a broker loads the ExHook provider')
    respond(null, { hooks })
  }

  #tell(request: WireMessage): void {
    const hook = (this.#parts.engine.hooks as unknown as Readonly<Record<string, LooseHook>>)[this.#hookpoint]
    hook?.(eventOf(this.#parts.rpc, request, this.#contractVersion))
  }

  /** Counts it; gives what the policy answers. */
  #failed(failure: { code: number; details: string }, error: unknown) {
    const { version, rpc, report } = this.#parts
    this.count.failed += 1
    report(`${rpc.rpc} of version ${version}`, failure, error)
    return (request: WireMessage | null, kind: FailureKind): ValuedResponse => {
      this.count.undecided += 1
      return undecidedAnswer(this.#policy(kind), { isAboutMessage: rpc.rpc === 'OnMessagePublish', request })
    }
  }

  /** Deny, as soon as one of those who would have been asked has it so. */
  #policy(kind: FailureKind): 'deny' | 'allow' {
    const asked = this.#parts.engine.plugins.filter(
      ({ mode, hooks }) => mode === 'enforce' && hooks.includes(this.#hookpoint),
    )
    return asked.some(({ policies }) => policies.transform[kind] !== 'allow') ? 'deny' : 'allow'
  }

  #inNumbersOf(peer: string, request: WireMessage | null, answer: ValuedResponse): ValuedResponse {
    const { version, brokers } = this.#parts
    return version === 1 && brokers.isSwapped(peer, request) ? inSwappedNumbers(answer) : answer
  }
}

/** How long plugins have, so that their policy's answer arrives while the broker still waits. */
function patienceMs(call: UnaryCall, requestTimeoutMs: number): number {
  const deadline = call.getDeadline()
  const leftMs = Math.min(requestTimeoutMs, (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now())
  if (leftMs <= 0) throw TOO_LATE
  return leftMs - Math.min(ANSWER_MARGIN_MS, leftMs / 5)
}

function failureKindOf(error: unknown): FailureKind {
  const code = codeOf(error)
  if (code === 'EVENT_INVALID' || code === 'EVENT_TOO_LARGE') return 'invalid'
  // A policy of raise is for this kind of failure, not for all of them.
  if (code === 'PLUGIN_FAILED') return ((error as HookringError).cause as Partial<Failure> | undefined)?.kind ?? 'error'
  return code === 'ENGINE_CLOSED' ? 'crash' : 'error'
}

function codeOf(error: unknown): string | undefined {
  return error instanceof HookringError ? error.code : undefined
}
