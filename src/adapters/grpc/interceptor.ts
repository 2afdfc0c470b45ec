/**
 * The server interceptor itself: holds each request message until the hookpoints have spoken, and watches how the handler
 * ends the RPC. Made once per server by its operator; then one state per RPC, all on the host's thread.
 *
 *     waiting for a message --> asking --> proceed: the handler gets the message --> waiting ... --> handler ends the RPC
 *                                 |-----> answer, refuse: the RPC is over, the handler's sends are dropped
 *      (any) --cancelled or past its deadline--> the RPC is over, nothing pending reaches the handler
 */
import { setMaxListeners } from 'node:events'
import { Metadata, ServerInterceptingCall, type ServerInterceptor, type StatusObject, status } from '@grpc/grpc-js'
import { type Hookpoints, HookringError } from '../../contracts/index.js'
import { type Asker, createAsker, type InterceptorOptions } from './ask.js'
import type { AskingEngine } from './engine.js'
import { type CheckedMethod, checkRules, type RpcCall, type RpcRules } from './rules.js'
import { plain } from './status.js'

type MethodDefinition = Parameters<ServerInterceptor>[0]
type NextCall = Parameters<ServerInterceptor>[1]

/** Made once: an error of its own for each RPC would cost more than the rest of the abort. */
const RPC_OVER = new Error('the RPC is over')

/**
 * An interceptor for `new grpc.Server({ interceptors: [...] })` that asks an engine's hookpoints around RPCs. Interceptors
 * run in the order of the list: put those that validate or authenticate before it. All four kinds of RPC work; rules of a
 * streaming request are applied to each message, one after the other, in order.
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
  const methods = checkRules(engine.contract, rules)
  const asker = createAsker(engine, options)
  return (method, next) => {
    const rule = methods.get(method.path)
    // An RPC without rules costs one look-up: `next` has every method of an intercepting call.
    if (rule === undefined) return next as ServerInterceptingCall
    return interceptRpc(method, next, rule, asker)
  }
}

function interceptRpc(
  method: MethodDefinition,
  next: NextCall,
  rule: CheckedMethod,
  asker: Asker,
): ServerInterceptingCall {
  const over = new AbortController()
  // A rule may ask about many events at once, and each question listens.
  setMaxListeners(0, over.signal)
  const call = describeCall(method, next, over.signal)
  let isEnded = false // no message reaches anybody any more
  let isCancelled = false // and the handler had not finished
  let isDecided = false // by a before-rule: the handler has no say any more
  let isStarted = false // the handler runs
  let isHalfClosed = false
  let isTold = false
  let request: unknown
  let response: unknown
  let requestCount = 0
  let responseCount = 0
  let isAsking = false
  let inbound: Promise<void> = Promise.resolve()

  const isOver = () => isEnded || isDecided

  // One at a time and in order: neither a later message nor the half-close overtakes a verdict that is pending.
  const enqueue = (step: () => void | Promise<void>) => {
    inbound = inbound.then(async () => {
      if (isOver()) return
      try {
        await step()
      } catch (error) {
        asker.report(error, undefined, call)
        refuse(plain(status.INTERNAL, 'the request could not be handled'))
      }
    })
  }

  const refuse = (refusal: StatusObject) => {
    if (isOver()) return
    isDecided = true
    next.sendStatus(refusal)
  }

  const answer = (value: unknown) => {
    isDecided = true
    next.sendMessage(value, () => next.sendStatus({ code: status.OK, details: 'OK', metadata: new Metadata() }))
  }

  const tell = (ending: { code: number; details: string }) => {
    if (isTold || isDecided || !isStarted) return
    isTold = true
    if (rule.after.length === 0) return
    const outcome = { call, request, requestCount, response, responseCount, status: ending, isCancelled }
    asker.tell(rule.after, outcome)
  }

  return new ServerInterceptingCall(next, {
    start(start) {
      start({
        onReceiveMetadata(metadata, forward) {
          call.metadata = metadata
          if (method.requestStream) isStarted = true
          forward(metadata)
        },
        onReceiveMessage(message, forward) {
          enqueue(async () => {
            isAsking = true
            const decision = await asker.ask(rule.before, message, call)
            isAsking = false
            if (isOver()) return
            switch (decision.kind) {
              case 'proceed':
                request = decision.request
                requestCount++
                forward(decision.request)
                return
              case 'answer':
                answer(decision.response)
                return
              case 'refuse':
                refuse(decision.status)
            }
          })
        },
        onReceiveHalfClose(forward) {
          enqueue(() => {
            isHalfClosed = true
            isStarted = true
            forward()
          })
        },
        // Comes after every ending, the handler's own included.
        onCancel() {
          isEnded = true
          isCancelled = !isTold
          if (isAsking) over.abort(RPC_OVER)
          // Such a handler has lost its stream and may never say so; any other still has its operation to finish.
          if (method.responseStream || !isHalfClosed) tell(brokenOff(call))
        },
      })
    },
    sendMetadata(metadata, send) {
      if (!isDecided) send(metadata)
    },
    sendMessage(message, send) {
      if (isDecided) return
      response = message
      responseCount++
      // The one response is the operation's success. Its status may never come: not when the client has gone.
      if (!method.responseStream) tell({ code: status.OK, details: 'OK' })
      send(message)
    },
    sendStatus(ending, send) {
      if (isDecided) return
      tell({ code: ending.code, details: ending.details })
      send(ending)
    },
  })
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
