/**
 * The server interceptor itself: holds a call's beginning and each request message until the hookpoints have spoken, and
 * watches how the handler ends the RPC. Made once per server by its operator; then one state per RPC, all on the host's thread.
 *
 *     the call begins --> asking --> proceed: the handler is told --> waiting for a message
 *     waiting for a message --> asking --> proceed: the handler gets the message --> waiting ... --> handler ends the RPC
 *                                 |-----> answer, refuse: the RPC is over, the handler's sends are dropped
 *      (any) --cancelled or past its deadline--> the RPC is over, nothing pending reaches the handler
 */
import { setMaxListeners } from 'node:events'
import { Metadata, ServerInterceptingCall, type ServerInterceptor, type StatusObject, status } from '@grpc/grpc-js'
import { type Hookpoints, HookringError } from '../../contracts/index.js'
import type { AskingEngine } from './engine.js'
import { type InterceptorOptions, RuleRunner } from './rule-runner.js'
import { type CheckedBeforeRule, type CheckedMethod, checkRules, type RpcCall, type RpcRules } from './rules.js'
import { plain } from './status.js'

type MethodDefinition = Parameters<ServerInterceptor>[0]
type NextCall = Parameters<ServerInterceptor>[1]
type Responder = NonNullable<ConstructorParameters<typeof ServerInterceptingCall>[1]>

/** Made once: an error of its own for each RPC would cost more than the rest of the abort. */
const RPC_OVER = new Error('the RPC is over')

/**
 * An interceptor for `new grpc.Server({ interceptors: [...] })` that asks an engine's hookpoints around RPCs. Interceptors
 * run in the order of the list: put those that validate or authenticate before it. All four kinds of RPC work; rules of a
 * streaming request are applied to each message, one after the other, in order, and those of `start` to a stream that sends
 * nothing, too.
 *
 * @throws HookringError OPTIONS_INVALID or HOOKPOINT_UNKNOWN, with the path of the rule
 */
export function hookInterceptor<Points extends Hookpoints>(
  engine: AskingEngine<Points>,
  rules: RpcRules<Points>,
  options: InterceptorOptions = {},
): ServerInterceptor {
  if (engine?.contract?.hookpoints === undefined || engine.hooks === undefined) {
    throw new HookringError('OPTIONS_INVALID', 'engine: must have a contract and hooks', { path: ['engine'] })
  }
  const ruleOf = checkRules(engine.contract, rules)
  const runner = new RuleRunner(engine, options)
  return (method, next) => {
    const rule = ruleOf(method.path)
    // An RPC without rules costs one look-up: `next` has every method of an intercepting call.
    if (rule === null) return next as ServerInterceptingCall
    return new ServerInterceptingCall(next, new InterceptedRpc({ method, next, rule, runner }).responder)
  }
}

interface RpcParts<Points extends Hookpoints> {
  readonly method: MethodDefinition
  readonly next: NextCall
  readonly rule: CheckedMethod
  readonly runner: RuleRunner<Points>
}

class InterceptedRpc<Points extends Hookpoints> {
  readonly #parts: RpcParts<Points>
  readonly #call: RpcCall & { metadata: Metadata }
  readonly #over = new AbortController()
  /** No message reaches anybody any more. */
  #isEnded = false
  /** And the handler had not finished. */
  #isCancelled = false
  /** By a rule: the handler has no say any more. */
  #isDecided = false
  /** The handler runs. */
  #isStarted = false
  #isHalfClosed = false
  #isTold = false
  #isAsking = false
  #request: unknown
  #response: unknown
  #requestCount = 0
  #responseCount = 0
  #inbound: Promise<void> = Promise.resolve()

  constructor(parts: RpcParts<Points>) {
    this.#parts = parts
    // A rule may ask about many events at once, and each question listens.
    setMaxListeners(0, this.#over.signal)
    this.#call = describeCall(parts.method, parts.next, this.#over.signal)
  }

  /** What grpc-js calls. */
  get responder(): Responder {
    return {
      start: (start) =>
        start({
          onReceiveMetadata: (metadata, forward) => this.#begin(metadata, () => forward(metadata)),
          onReceiveMessage: (message, forward) => this.#take(message, forward),
          onReceiveHalfClose: (forward) => this.#halfClose(forward),
          onCancel: () => this.#cancel(),
        }),
      sendMetadata: (metadata, send) => {
        if (!this.#isDecided) send(metadata)
      },
      sendMessage: (message, send) => this.#respond(message, send),
      sendStatus: (ending, send) => {
        if (this.#isDecided) return
        this.#tell({ code: ending.code as number, details: ending.details as string })
        send(ending)
      },
    }
  }

  #begin(metadata: Metadata, forward: () => void): void {
    const { method, rule } = this.#parts
    this.#call.metadata = metadata
    const begin = () => {
      if (method.requestStream) this.#isStarted = true
      forward()
    }
    if (rule.start.length === 0) begin()
    else this.#enqueue(() => this.#ask(rule.start, undefined, begin))
  }

  #take(message: unknown, forward: (message: unknown) => void): void {
    this.#enqueue(() =>
      this.#ask(this.#parts.rule.before, message, (request) => {
        this.#request = request
        this.#requestCount += 1
        forward(request)
      }),
    )
  }

  #halfClose(forward: () => void): void {
    this.#enqueue(async () => {
      this.#isHalfClosed = true
      this.#isStarted = true
      forward()
    })
  }

  /** Comes after every ending, the handler's own included. */
  #cancel(): void {
    this.#isEnded = true
    this.#isCancelled = !this.#isTold
    if (this.#isAsking) this.#over.abort(RPC_OVER)
    // Such a handler has lost its stream and may never say so; any other still has its operation to finish.
    if (this.#parts.method.responseStream || !this.#isHalfClosed) this.#tell(brokenOff(this.#call))
  }

  #respond(message: unknown, send: (message: unknown) => void): void {
    if (this.#isDecided) return
    this.#response = message
    this.#responseCount += 1
    // The one response is the operation's success. Its status may never come: not when the client has gone.
    if (!this.#parts.method.responseStream) this.#tell({ code: status.OK, details: 'OK' })
    send(message)
  }

  /** One at a time and in order: neither a later message nor the half-close overtakes a verdict that is pending. */
  #enqueue(step: () => Promise<void>): void {
    this.#inbound = this.#inbound.then(async () => {
      if (this.#isOver) return
      try {
        await step()
      } catch (error) {
        this.#parts.runner.report(error, undefined, this.#call)
        this.#refuse(plain(status.INTERNAL, 'the request could not be handled'))
      }
    })
  }

  get #isOver(): boolean {
    return this.#isEnded || this.#isDecided
  }

  async #ask(
    rules: readonly CheckedBeforeRule[],
    request: unknown,
    proceed: (request: unknown) => void,
  ): Promise<void> {
    this.#isAsking = true
    const decision = await this.#parts.runner.ask(rules, request, this.#call)
    this.#isAsking = false
    if (this.#isOver) return
    if (decision.kind === 'proceed') proceed(decision.request)
    else if (decision.kind === 'answer') this.#answer(decision.response)
    else this.#refuse(decision.status)
  }

  #refuse(refusal: StatusObject): void {
    if (this.#isOver) return
    this.#isDecided = true
    this.#parts.next.sendStatus(refusal)
  }

  #answer(value: unknown): void {
    const { next } = this.#parts
    this.#isDecided = true
    next.sendMessage(value, () => next.sendStatus({ code: status.OK, details: 'OK', metadata: new Metadata() }))
  }

  #tell(ending: { code: number; details: string }): void {
    if (this.#isTold || this.#isDecided || !this.#isStarted) return
    this.#isTold = true
    const { rule, runner } = this.#parts
    if (rule.after.length === 0) return
    runner.tell(rule.after, {
      call: this.#call,
      request: this.#request,
      requestCount: this.#requestCount,
      response: this.#response,
      responseCount: this.#responseCount,
      status: ending,
      isCancelled: this.#isCancelled,
    })
  }
}

function describeCall(method: MethodDefinition, next: NextCall, signal: AbortSignal): RpcCall & { metadata: Metadata } {
  const deadline = next.getDeadline()
  return {
    path: method.path,
    metadata: new Metadata(),
    // Now: an after-rule may run when the connection has closed.
    peer: next.getPeer(),
    deadlineMs: typeof deadline === 'number' ? deadline : deadline.getTime(),
    signal,
  }
}

function brokenOff(call: RpcCall): { code: number; details: string } {
  return Date.now() >= call.deadlineMs
    ? { code: status.DEADLINE_EXCEEDED, details: 'Deadline exceeded' }
    : { code: status.CANCELLED, details: 'Cancelled' }
}
