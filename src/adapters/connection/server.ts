/**
 * The connection server: a small IPC server whose hooks are those of connection@1. Made and used by the server's program,
 * on the host's thread.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Server as Listener, Socket } from 'node:net'
import { HookringError } from '../../contracts/index.js'
import { bindMethods } from '../../primitives/bind-methods.js'
import { type ConnectionRegistry, registryOf } from './connection-registry.js'
import { Flow } from './flow.js'
import { FRAME, frameOf } from './frames.js'
import { errorPayload } from './handshake.js'
import { type Caller, type HookSlots, HookTable } from './host-hooks.js'
import { Lines } from './lines.js'
import { type Address, type ListenOptions, listenAt, type Transport } from './listening.js'
import { type Peer, Requests } from './requests.js'
import { ServerConnection } from './server-connection.js'
import { createCounts, type ServerCounts } from './server-counts.js'
import { type ConnectionServerOptions, type ResolvedServerOptions, resolveServerOptions } from './server-options.js'

export interface ConnectionStatus {
  /** Its number, as hooks and handlers have it. */
  readonly handle: number
  /** Who has logged in; null: nobody. */
  readonly user: string | null
  /** Whether it may only do what restricted connections may. */
  readonly restricted: boolean
  /** How it came: `tcp` or `unix`. */
  readonly transport: Transport
  /** The client's address; empty for a unix socket. */
  readonly remoteAddress: string
}

export interface ConnectionServer extends AsyncDisposable {
  /** The hooks of this process. Any of the five may be set and cleared while connections are open. */
  readonly hooks: HookSlots
  /** The handle of the connection whose hook or handler runs, -1 outside. */
  readonly handle: number
  /** Those that are open. */
  readonly connections: readonly ConnectionStatus[]
  /** What has happened since the server was made. */
  readonly counts: Readonly<ServerCounts>
  /** May be called for several addresses. @throws HookringError LISTEN_FAILED, OPTIONS_INVALID */
  listen(options: ListenOptions): Promise<Address>
  /** Runs the handler, on behalf of the connection whose hook runs, restricted as it is. @throws what the handler does */
  evaluate(message: unknown): Promise<unknown>
  /**
   * Sends a client a message that answers none of its own; its `message` event. False: there is no such connection. Inside
   * a hook of a restricted connection: to that one alone.
   *
   * @throws HookringError BODY_INVALID, FRAME_TOO_LARGE; REQUEST_OVERLOAD: the client does not take what it is sent, and
   * more than `maxUnsentBytes` wait for it; CONNECTION_RESTRICTED
   */
  post(handle: number, message: unknown): boolean
  /** False: there is no such connection. */
  disconnect(handle: number): boolean
  /**
   * Takes no more connections and messages, answers what is under way within the time, tells `close` of each connection and
   * ends it. Call the engine's shutdown() before, and its close() after.
   */
  close(options?: { graceMs?: number }): Promise<void>
}

const DEFAULT_GRACE_MS = 5_000
const KEEP_ALIVE_MS = 60_000
const NEVER = new AbortController().signal

/** @throws HookringError OPTIONS_INVALID, HOOK_NAME_RESERVED */
export function createConnectionServer(options: ConnectionServerOptions): ConnectionServer {
  return bindMethods(new HookedServer(resolveServerOptions(options)))
}

class HookedServer implements ConnectionServer {
  readonly hooks: HookSlots
  readonly counts = createCounts()
  readonly #options: ResolvedServerOptions
  readonly #registry: ConnectionRegistry
  readonly #lines: Lines
  readonly #scope = new AsyncLocalStorage<Caller | null>()
  readonly #flow: Flow
  readonly #requests: Requests
  readonly #listeners = new Set<Listener>()
  readonly #connections = new Set<ServerConnection>()
  #sweep: NodeJS.Timeout | null = null
  #closing: Promise<void> | null = null

  constructor(options: ResolvedServerOptions) {
    const { engine, logger, maxPendingAsync } = options
    this.#options = options
    this.#registry = registryOf(engine)
    this.#lines = new Lines({ logger, now })
    this.#flow = new Flow({ flush: () => engine.flush(), limit: maxPendingAsync })
    const hooks = new HookTable(options.hooks)
    this.#requests = new Requests({ options, hooks, scope: this.#scope, flow: this.#flow, lines: this.#lines })
    this.hooks = {
      clear: (name) => hooks.clear(name),
      has: (name) => hooks.has(name),
      set: (name, hook) => {
        hooks.set(name, hook)
        this.#warnOfAuth(name === 'auth' && hooks.has('auth'))
      },
    }
    this.#warnOfAuth(hooks.has('auth') || engine.plugins.some((plugin) => plugin.hooks.includes('auth')))
  }

  get handle(): number {
    return this.#scope.getStore()?.handle ?? -1
  }

  get connections(): readonly ConnectionStatus[] {
    return [...this.#connections].flatMap(({ peer }) => (peer === null ? [] : [statusOf(peer)]))
  }

  async listen(where: ListenOptions): Promise<Address> {
    if (this.#closing !== null) throw new HookringError('LISTEN_FAILED', 'the server is closing or closed')
    const { listener, address } = await listenAt(where, {
      ...this.#options,
      accept: (socket, transport) => this.#accept(socket, transport),
      refusedByTls: (remoteAddress, problem) => {
        this.counts.accepted += 1
        this.counts.refused.handshake += 1
        this.#lines.warn({ remoteAddress }, `a peer could not be talked to by TLS: ${problem}`)
      },
    })
    this.#listeners.add(listener)
    this.#startSweep()
    return address
  }

  async evaluate(message: unknown): Promise<unknown> {
    const { handler } = this.#options
    if (handler === null) throw new HookringError('REQUEST_UNHANDLED', 'the server has no handler')
    const { handle = -1, user = null, restricted = false, signal = NEVER } = this.#scope.getStore() ?? {}
    return handler(message, { kind: 'sync', handle, user, restricted, signal })
  }

  post(handle: number, message: unknown): boolean {
    const caller = this.#scope.getStore() ?? null
    if (caller?.restricted === true && caller.handle !== handle) {
      const text = `connection ${caller.handle} is restricted and may write to itself alone, not ${handle}`
      throw new HookringError('CONNECTION_RESTRICTED', text)
    }
    const connection = this.#find(handle)
    connection?.post(message)
    return connection !== undefined
  }

  disconnect(handle: number): boolean {
    const connection = this.#find(handle)
    connection?.end('server', 'the server closed the connection')
    return connection !== undefined
  }

  close({ graceMs = DEFAULT_GRACE_MS } = {}): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #find(handle: number): ServerConnection | undefined {
    for (const connection of this.#connections) if (connection.peer?.handle === handle) return connection
    return undefined
  }

  #accept(socket: Socket, transport: Transport): void {
    this.counts.accepted += 1
    const why = this.#whyNot()
    if (why !== null) {
      this.counts.refused.limit += 1
      socket.on('error', () => {})
      const refused = frameOf(FRAME.refused, errorPayload({ code: 'CONNECTION_LIMIT', message: why }))
      socket.end(refused, () => socket.destroySoon())
      return
    }
    socket.setNoDelay(true)
    // Clients that vanish without a word are found.
    if (transport === 'tcp') socket.setKeepAlive(true, KEEP_ALIVE_MS)
    const remoteAddress = transport === 'unix' ? '' : `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`
    const connection: ServerConnection = new ServerConnection({
      socket,
      client: { transport, remoteAddress },
      options: this.#options,
      requests: this.#requests,
      registry: this.#registry,
      flow: this.#flow,
      lines: this.#lines,
      counts: this.counts,
      now,
      gone: () => this.#connections.delete(connection),
    })
    this.#connections.add(connection)
  }

  #whyNot(): string | null {
    const { maxConnections, maxHandshakes } = this.#options
    if (this.#closing !== null) return 'the server is closing'
    if (this.#connections.size >= maxConnections) return 'the server has all the connections that it takes'
    if (this.#connections.size < maxHandshakes) return null
    let handshakes = 0
    for (const { isAdmitting } of this.#connections) if (isAdmitting) handshakes += 1
    return handshakes < maxHandshakes ? null : 'too many connections wait to be let in'
  }

  #startSweep(): void {
    if (this.#sweep !== null) return
    const { handshakeTimeoutMs, stallTimeoutMs, idleTimeoutMs } = this.#options
    const shortest = Math.min(handshakeTimeoutMs, stallTimeoutMs, idleTimeoutMs || Number.POSITIVE_INFINITY)
    const sweep = () => {
      const nowMs = now()
      for (const connection of this.#connections) connection.check(nowMs)
    }
    this.#sweep = setInterval(sweep, Math.min(Math.max(shortest / 4, 5), 1_000))
    this.#sweep.unref()
  }

  async #close(graceMs: number): Promise<void> {
    const ended = [...this.#listeners].map((each) => new Promise<void>((resolve) => each.close(() => resolve())))
    await Promise.all([...this.#connections].map((connection) => connection.close(graceMs)))
    await Promise.all(ended)
    if (this.#sweep !== null) clearInterval(this.#sweep)
  }

  #warnOfAuth(isHooked: boolean): void {
    if (!isHooked || this.#options.checkCredentials !== null) return
    this.#lines.warn({}, 'auth is hooked, and never asked: the server has no users')
  }
}

function statusOf({ handle, user, restricted, transport, remoteAddress }: Peer): ConnectionStatus {
  return { handle, user, restricted, transport, remoteAddress }
}

function now(): number {
  return performance.now()
}
