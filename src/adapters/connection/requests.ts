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
  HookringError,
  isUndecided,
} from '../../contracts/index.js'
import { type Answer, errorAnswer, failureAnswer, thrownAnswer, valueAnswer } from './answers.js'
import { checkShape, decodeBody, encodeBody } from './body.js'
import { isThenable, settledWithin } from './deadline.js'
import type { Flow } from './flow.js'
import { messageOf } from './handshake.js'
import type { Caller, HookTable } from './host-hooks.js'
import type { Lines } from './lines.js'
import type { Client, ResolvedServerOptions } from './server-options.js'

/** A connection, as hooks and handlers know it. */
export interface Peer extends Client, Caller {
  readonly codec: BodyCodec
  readonly ticket: bigint
}

export type CloseReason = ConnectionCloseEvent['reason']

interface RequestsParts {
  readonly options: ResolvedServerOptions
  readonly hooks: HookTable
  readonly scope: AsyncLocalStorage<Caller | null>
  readonly flow: Flow
  readonly lines: Lines
}

type Evaluate = (message: unknown) => unknown

/** Nothing here throws or rejects, `evaluate` excepted. */
export class Requests {
  readonly #options: ResolvedServerOptions
  readonly #hooks: HookTable
  readonly #scope: AsyncLocalStorage<Caller | null>
  readonly #flow: Flow
  readonly #lines: Lines

  constructor({ options, hooks, scope, flow, lines }: RequestsParts) {
    this.#options = options
    this.#hooks = hooks
    this.#scope = scope
    this.#flow = flow
    this.#lines = lines
  }

  async admits(peer: Peer, password: string): Promise<boolean> {
    try {
      return (await this.#pluginsAdmit(peer, password)) && (await this.#hostAdmits(peer, password))
    } catch (error) {
      // Nobody waits for it any more.
      if (!peer.signal.aborted) this.#log('auth', peer, error)
      return false
    }
  }

  opened(peer: Peer): void {
    const { transport, remoteAddress, codec, ticket } = peer
    this.#options.engine.hooks.open({ ...callerOf(peer), transport, remoteAddress, codec, ticket })
    const hook = this.#hooks.get('open')
    if (hook !== undefined) void this.#inform('open', peer, () => hook(peer.handle, peer))
  }

  closed(peer: Peer, reason: CloseReason): void {
    const { codec, ticket } = peer
    this.#options.engine.hooks.close({ ...callerOf(peer), codec, ticket, reason })
    const hook = this.#hooks.get('close')
    if (hook !== undefined) void this.#inform('close', peer, () => hook(peer.handle, peer))
  }

  /** @param signal aborted when nobody waits for the answer any more */
  async answer(peer: Peer, body: Uint8Array, signal: AbortSignal): Promise<Answer> {
    try {
      return await this.#ask({ ...peer, signal }, body)
    } catch (error) {
      return thrownAnswer(error)
    }
  }

  /** False: the body cannot be read. The promise: the host is at work on it. */
  tell(peer: Peer, body: Uint8Array): Promise<void> | boolean {
    let message: () => unknown
    try {
      message = messageIn(peer, body)
    } catch (error) {
      this.#lines.warn({ handle: peer.handle }, `async: ${messageOf(error)}`)
      return false
    }
    const inLanes = this.#isHooked('async')
    if (inLanes) {
      this.#options.engine.hooks.async({ ...callerOf(peer), codec: peer.codec, body, ticket: peer.ticket })
      this.#flow.told()
    }
    const hook = this.#hooks.get('async')
    if (hook !== undefined) return this.#inform('async', peer, () => hook(message(), peer)) ?? true
    if (inLanes) return true
    return this.#inform('async', peer, () => this.#handler('async', peer)(message())) ?? true
  }

  /** The handler alone, on a message of its own form. @throws what the handler does; REQUEST_UNHANDLED */
  async evaluate(peer: Peer, body: Uint8Array): Promise<Uint8Array> {
    return this.#evaluated(peer, this.#handler('sync', peer), messageIn(peer, body)())
  }

  /** Resolves when the messages that the lanes were told so far have been delivered. */
  async delivered(): Promise<void> {
    if (this.#isHooked('async')) await this.#options.engine.flush().catch(() => {})
  }

  async #pluginsAdmit(peer: Peer, password: string): Promise<boolean> {
    const { user, transport, remoteAddress, signal } = peer
    const event = { ...callerOf(peer), user: user ?? '', password, transport, remoteAddress }
    const verdict = await this.#options.engine.hooks.auth(event, { signal })
    const { failure } = verdict
    // A failure that the operator's policy forgives is none that lets somebody in.
    if (failure !== undefined) {
      this.#lines.error({ handle: peer.handle, hook: 'auth', ...failure }, 'auth: a plugin failed')
    }
    return verdict.kind === 'continue' && failure === undefined
  }

  async #hostAdmits(peer: Peer, password: string): Promise<boolean> {
    const hook = this.#hooks.get('auth')
    if (hook === undefined) return true
    return Boolean(await this.#scope.run(peer, () => hook(peer.user ?? '', password, peer)))
  }

  async #ask(peer: Peer, body: Uint8Array): Promise<Answer> {
    const { engine, requestTimeoutMs, maxFrameBytes } = this.#options
    const message = messageIn(peer, body)
    const verdict = await engine.hooks.sync(
      { ...callerOf(peer), codec: peer.codec, body, ticket: peer.ticket },
      { signal: peer.signal, timeoutMs: requestTimeoutMs },
    )
    switch (verdict.kind) {
      case 'respond':
        return valueAnswer(verdict.value.body, maxFrameBytes)
      case 'reject': {
        const { failure, reason, code } = verdict
        const isFailed = failure !== undefined && isUndecided(verdict)
        return isFailed ? failureAnswer(failure) : errorAnswer('REQUEST_FAILED', reason, code)
      }
      case 'continue': {
        if (peer.signal.aborted) throw new HookringError('CALL_ABORTED', 'nobody waits for the answer')
        const hook = this.#hooks.get('sync')
        const evaluate = hook === undefined ? this.#handler('sync', peer) : (value: unknown) => hook(value, peer)
        return valueAnswer(await this.#evaluated(peer, evaluate, message()), maxFrameBytes)
      }
      default:
        throw new Error(`sync came to no verdict: ${String(verdict satisfies never)}`)
    }
  }

  #handler(kind: 'sync' | 'async', peer: Peer): Evaluate {
    const { handler } = this.#options
    if (handler === null) {
      throw new HookringError('REQUEST_UNHANDLED', 'no sync hook has answered, and the server has no handler')
    }
    return (message) => handler(message, { kind, ...callerOf(peer), signal: peer.signal })
  }

  async #evaluated(peer: Peer, evaluate: Evaluate, message: unknown): Promise<Uint8Array> {
    const value = this.#scope.run(peer, () => evaluate(message))
    const limits = { timeoutMs: this.#options.requestTimeoutMs, signal: peer.signal }
    return encodeBody(peer.codec, isThenable(value) ? await settledWithin(value, limits) : value)
  }

  /** What the host is told and need not answer. A promise when it goes on with it. */
  #inform(name: ConnectionHookName, peer: Peer, body: () => unknown): Promise<void> | null {
    try {
      const told = this.#scope.run(peer, body)
      if (!isThenable(told)) return null
      // A close hook runs when its connection has ended, and has its time.
      const signal = name === 'close' ? undefined : peer.signal
      return settledWithin(told, { timeoutMs: this.#options.requestTimeoutMs, signal }).then(
        () => {},
        (error) => this.#log(name, peer, error),
      )
    } catch (error) {
      this.#log(name, peer, error)
      return null
    }
  }

  #isHooked(name: ConnectionHookName): boolean {
    return this.#options.engine.plugins.some(({ mode, hooks }) => mode === 'enforce' && hooks.includes(name))
  }

  #log(name: ConnectionHookName, peer: Peer, error: unknown): void {
    this.#lines.error({ handle: peer.handle, hook: name }, `${name}: ${messageOf(error)}`)
  }
}

function callerOf({ handle, user, restricted }: Peer) {
  return { handle, user, restricted }
}

/** Looks at the body's shape now, and decodes it when it is asked for. @throws HookringError BODY_INVALID */
function messageIn({ codec }: Peer, body: Uint8Array): () => unknown {
  checkShape(codec, body)
  // JSON is known to be well-formed when it has been read; MessagePack is read when the host looks at it.
  if (codec === 'msgpack') return () => decodeBody(codec, body)
  const read = decodeBody(codec, body)
  return () => read
}
