/**
 * What becomes of a connection's messages, its beginning and its end: who is asked, in which order, and what the answers
 * and errors mean. One for a server; on the host's thread.
 *
 *   sync    plugins in lanes, by priority -> the hook of the host -> the server's handler
 *   async   plugins and the hook of the host, all of them; the handler when none of them is installed
 *   auth    plugins, then the hook of the host: all must accept
 */
import type { AsyncLocalStorage } from 'node:async_hooks'
import {
  type BodyCodec,
  type ConnectionCloseEvent,
  type ConnectionHookName,
  type Failure,
  HookringError,
} from '../../contracts/index.js'
import { checkShape, decodeBody, encodeBody } from './body.js'
import type { Flow } from './flow.js'
import { messageOf, type RemoteError } from './handshake.js'
import type { Caller, OwnedHookSlots } from './host-hooks.js'
import type { Lines } from './lines.js'
import type { Client, ResolvedServerOptions } from './server-options.js'

/** A connection, as hooks and handlers know it. */
export interface Peer extends Client, Caller {
  readonly codec: BodyCodec
  readonly ticket: bigint
}

export type CloseReason = ConnectionCloseEvent['reason']

export type Answer =
  | { readonly kind: 'value'; readonly body: Uint8Array }
  | { readonly kind: 'error'; readonly error: RemoteError }

/** Nothing here throws or rejects, `evaluate` excepted. */
export interface Requests {
  admits(peer: Peer, password: string): Promise<boolean>
  opened(peer: Peer): void
  closed(peer: Peer, reason: CloseReason): void
  answer(peer: Peer, body: Uint8Array): Promise<Answer>
  /** False: the body cannot be read. The promise: the host is at work on it. */
  tell(peer: Peer, body: Uint8Array): Promise<void> | boolean
  /** The handler alone, on a message of its own form. @throws what the handler does; REQUEST_UNHANDLED */
  evaluate(peer: Peer, body: Uint8Array): Promise<Uint8Array>
}

interface RequestsOptions {
  readonly options: ResolvedServerOptions
  readonly slots: OwnedHookSlots
  readonly scope: AsyncLocalStorage<Caller | null>
  readonly flow: Flow
  readonly lines: Lines
}

/** Of a response: its type and number stand before it. */
const RESPONSE_HEAD_BYTES = 5

/** What a client is told of a failure that is none of its message's: nothing of the server's insides. */
const FAILURES: Readonly<Record<Exclude<Failure['kind'], 'error'>, string>> = {
  timeout: 'the hook gave no answer in time',
  overload: 'too many requests wait for the hook',
  crash: 'the hook is not available',
  quarantined: 'the hook is not available',
  invalid: 'the hook gave no answer that can be sent',
}

export function createRequests({ options, slots, scope, flow, lines }: RequestsOptions): Requests {
  const { engine, handler, requestTimeoutMs, maxFrameBytes } = options

  const isHooked = (name: ConnectionHookName) =>
    engine.plugins.some(({ mode, hooks }) => mode === 'enforce' && hooks.includes(name))

  const log = (name: string, peer: Peer, error: unknown) =>
    lines.error({ handle: peer.handle, hook: name }, `${name}: ${messageOf(error)}`)

  /** What the host is told and need not answer. A promise when it goes on with it. */
  function inform(name: string, peer: Peer, body: () => unknown): Promise<void> | null {
    try {
      const told = scope.run(peer, body)
      if (!isThenable(told)) return null
      return withinTime(told, requestTimeoutMs, peer.signal).then(
        () => {},
        (error) => log(name, peer, error),
      )
    } catch (error) {
      log(name, peer, error)
      return null
    }
  }

  function callerOf({ handle, user, restricted }: Peer) {
    return { handle, user, restricted }
  }

  function messageOfBody(peer: Peer, body: Uint8Array): () => unknown {
    checkShape(peer.codec, body)
    // JSON is known to be well-formed when it has been read; MessagePack is read when the host looks at it.
    const read = peer.codec === 'json' ? decodeBody(peer.codec, body) : undefined
    return () => (peer.codec === 'json' ? read : decodeBody(peer.codec, body))
  }

  async function ask(peer: Peer, body: Uint8Array): Promise<Answer> {
    const message = messageOfBody(peer, body)
    const verdict = await engine.hooks.sync(
      { ...callerOf(peer), codec: peer.codec, body, ticket: peer.ticket },
      { signal: peer.signal, timeoutMs: requestTimeoutMs },
    )
    switch (verdict.kind) {
      case 'respond':
        return sized(verdict.value.body)
      case 'reject': {
        const { failure, reason, code } = verdict
        if (failure !== undefined) return failed(failure)
        return {
          kind: 'error',
          error: { code: 'REQUEST_FAILED', message: reason, ...(code !== undefined && { status: code }) },
        }
      }
      case 'continue': {
        const hook = slots.get('sync')
        const evaluate = hook === undefined ? handled('sync', peer) : (value: unknown) => hook(value, peer)
        return sized(await evaluated(peer, evaluate, message()))
      }
      default:
        throw new Error(`sync came to no verdict: ${String(verdict satisfies never)}`)
    }
  }

  function handled(kind: 'sync' | 'async', peer: Peer): (message: unknown) => unknown {
    if (handler === null) {
      throw new HookringError('REQUEST_UNHANDLED', 'no sync hook has answered, and the server has no handler')
    }
    const { signal } = peer
    return (message) => handler(message, { kind, ...callerOf(peer), signal })
  }

  async function evaluated(peer: Peer, evaluate: (message: unknown) => unknown, message: unknown) {
    const value = scope.run(peer, () => evaluate(message))
    const settled = isThenable(value) ? await withinTime(value, requestTimeoutMs, peer.signal) : value
    return encodeBody(peer.codec, settled)
  }

  function sized(body: Uint8Array): Answer {
    const bytes = body.byteLength + RESPONSE_HEAD_BYTES
    if (bytes <= maxFrameBytes) return { kind: 'value', body }
    const message = `the response takes ${bytes} bytes; at most ${maxFrameBytes} are sent`
    return { kind: 'error', error: { code: 'FRAME_TOO_LARGE', message } }
  }

  return {
    async admits(peer, password) {
      const { user, transport, remoteAddress, signal } = peer
      try {
        const event = { ...callerOf(peer), user: user ?? '', password, transport, remoteAddress }
        const verdict = await engine.hooks.auth(event, { signal })
        // A failure that the operator's policy forgives is none that lets somebody in.
        if (verdict.kind !== 'continue' || verdict.failure !== undefined) {
          const why = verdict.failure ?? verdict
          if (verdict.failure !== undefined) {
            lines.error({ handle: peer.handle, hook: 'auth', ...(why as object) }, 'auth: a plugin failed')
          }
          return false
        }
        const hook = slots.get('auth')
        if (hook === undefined) return true
        const said = await scope.run(peer, () => hook(user ?? '', password, peer))
        return Boolean(said)
      } catch (error) {
        // Nobody waits for it any more.
        if (!signal.aborted) log('auth', peer, error)
        return false
      }
    },
    opened(peer) {
      const { transport, remoteAddress, codec } = peer
      engine.hooks.open({ ...callerOf(peer), transport, remoteAddress, codec })
      const hook = slots.get('open')
      if (hook !== undefined) void inform('open', peer, () => hook(peer.handle, peer))
    },
    closed(peer, reason) {
      engine.hooks.close({ ...callerOf(peer), reason })
      const hook = slots.get('close')
      if (hook !== undefined) void inform('close', peer, () => hook(peer.handle, peer))
    },
    async answer(peer, body) {
      try {
        return await ask(peer, body)
      } catch (error) {
        if (error instanceof HookringError && error.code === 'PLUGIN_FAILED' && isFailure(error.cause)) {
          return failed(error.cause)
        }
        const code = error instanceof HookringError ? error.code : 'REQUEST_FAILED'
        return { kind: 'error', error: { code, message: messageOf(error) } }
      }
    },
    tell(peer, body) {
      let message: () => unknown
      try {
        message = messageOfBody(peer, body)
      } catch (error) {
        lines.warn({ handle: peer.handle }, `async: ${messageOf(error)}`)
        return false
      }
      const inLanes = isHooked('async')
      if (inLanes) {
        engine.hooks.async({ ...callerOf(peer), codec: peer.codec, body, ticket: peer.ticket })
        flow.told()
      }
      const hook = slots.get('async')
      if (hook !== undefined) return inform('async', peer, () => hook(message(), peer)) ?? true
      if (inLanes) return true
      return inform('async', peer, () => handled('async', peer)(message())) ?? true
    },
    async evaluate(peer, body) {
      return evaluated(peer, handled('sync', peer), messageOfBody(peer, body)())
    },
  }
}

function failed({ kind, message }: Failure): Answer {
  // What a plugin throws at a message is the response to it.
  if (kind === 'error') return { kind: 'error', error: { code: 'REQUEST_FAILED', message } }
  return { kind: 'error', error: { code: 'PLUGIN_FAILED', message: FAILURES[kind] } }
}

function isFailure(cause: unknown): cause is Failure {
  return typeof cause === 'object' && cause !== null && 'kind' in cause && 'plugin' in cause
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** What a promise comes to, unless the time is up or the connection ends before. */
function withinTime(promise: PromiseLike<unknown>, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      end(() => reject(new HookringError('REQUEST_TIMEOUT', `no answer within ${timeoutMs} ms`)))
    }, timeoutMs)
    const closed = () => end(() => reject(new HookringError('CONNECTION_CLOSED', 'the connection has ended')))
    const end = (settle: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', closed)
      settle()
    }
    promise.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    )
    // A close hook runs when the connection has ended already, and has its time.
    if (!signal.aborted) signal.addEventListener('abort', closed)
  })
}
