/**
 * The connection server: a small IPC server whose hooks are those of connection@1. Made and used by the server's program,
 * on the host's thread.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { lstat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { HookringError } from '../../contracts/index.js'
import { deskOf } from './desk.js'
import { createFlow } from './flow.js'
import { FRAME, frameOf } from './frames.js'
import { errorPayload, messageOf } from './handshake.js'
import { type Caller, createHookSlots, type HookSlots } from './host-hooks.js'
import { createLines } from './lines.js'
import { createRequests } from './requests.js'
import { type ServerConnection, serveConnection } from './server-connection.js'
import { createCounts, type ServerCounts } from './server-counts.js'
import { type ConnectionServerOptions, resolveServerOptions } from './server-options.js'

export interface ListenOptions {
  /** Default 127.0.0.1. */
  host?: string | undefined
  /** 0: any that is free. */
  port?: number | undefined
  /** Of a unix socket, in place of host and port. Who may connect is who may write to it: mind its folder. */
  path?: string | undefined
}

export type Address = { readonly host: string; readonly port: number } | { readonly path: string }

export interface ConnectionStatus {
  readonly handle: number
  readonly user: string | null
  readonly restricted: boolean
  readonly transport: 'tcp' | 'unix'
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

/** @throws HookringError OPTIONS_INVALID, HOOK_NAME_RESERVED */
export function createConnectionServer(given: ConnectionServerOptions): ConnectionServer {
  const options = resolveServerOptions(given)
  const { engine, handler } = options
  const desk = deskOf(engine)
  const now = () => performance.now()
  const lines = createLines(options.logger, now)
  const slots = createHookSlots(options.hooks)
  const scope = new AsyncLocalStorage<Caller | null>()
  const flow = createFlow(() => engine.flush(), options.maxPendingAsync)
  const requests = createRequests({ options, slots, scope, flow, lines })
  const counts = createCounts()
  const listeners = new Set<Server>()
  const connections = new Set<ServerConnection>()
  let sweep: NodeJS.Timeout | null = null
  let closing: Promise<void> | null = null

  function accept(socket: Socket, transport: 'tcp' | 'unix'): void {
    counts.accepted += 1
    if (connections.size >= options.maxConnections || closing !== null) {
      counts.refused.limit += 1
      socket.on('error', () => {})
      const message = closing === null ? 'the server has all the connections that it takes' : 'the server is closing'
      socket.end(frameOf(FRAME.refused, errorPayload({ code: 'CONNECTION_LIMIT', message })), () =>
        socket.destroySoon(),
      )
      return
    }
    socket.setNoDelay(true)
    // Clients that vanish without a word are found.
    if (transport === 'tcp') socket.setKeepAlive(true, KEEP_ALIVE_MS)
    const remoteAddress = transport === 'unix' ? '' : `${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`
    const gone = () => connections.delete(connection)
    const connection: ServerConnection = serveConnection(
      socket,
      { transport, remoteAddress },
      { options, requests, desk, flow, lines, counts, now, gone },
    )
    connections.add(connection)
  }

  function startSweep(): void {
    if (sweep !== null) return
    const { handshakeTimeoutMs, stallTimeoutMs, idleTimeoutMs } = options
    const shortest = Math.min(handshakeTimeoutMs, stallTimeoutMs, idleTimeoutMs || Number.POSITIVE_INFINITY)
    sweep = setInterval(
      () => {
        const nowMs = now()
        for (const connection of connections) connection.check(nowMs)
      },
      Math.min(Math.max(shortest / 4, 5), 1_000),
    )
    sweep.unref()
  }

  async function close(graceMs: number): Promise<void> {
    const ended = [...listeners].map((each) => new Promise<void>((resolve) => each.close(() => resolve())))
    await Promise.all([...connections].map((connection) => connection.close(graceMs)))
    await Promise.all(ended)
    if (sweep !== null) clearInterval(sweep)
  }

  function warnOfAuth(isHooked: boolean): void {
    if (!isHooked || options.checkCredentials !== null) return
    lines.warn({}, 'auth is hooked, and never asked: the server has no users')
  }
  warnOfAuth(slots.has('auth') || engine.plugins.some(({ hooks }) => hooks.includes('auth')))

  const server: ConnectionServer = {
    hooks: {
      clear: slots.clear,
      has: slots.has,
      set(name, hook) {
        slots.set(name, hook)
        warnOfAuth(name === 'auth' && slots.has('auth'))
      },
    },
    get handle() {
      return scope.getStore()?.handle ?? -1
    },
    get connections() {
      return [...connections].flatMap(({ peer }) => {
        if (peer === null) return []
        const { handle, user, restricted, transport, remoteAddress } = peer
        return [{ handle, user, restricted, transport, remoteAddress }]
      })
    },
    counts,
    async listen(where) {
      if (closing !== null) throw new HookringError('LISTEN_FAILED', 'the server is closing or closed')
      const transport = checkWhere(where)
      // Connections are no part of what a hook has started that happens to listen.
      const listener = scope.run(null, () =>
        createServer({ allowHalfOpen: true }, (socket) => accept(socket, transport)),
      )
      await listenOn(listener, where)
      listeners.add(listener)
      startSweep()
      const address = listener.address()
      if (typeof address === 'string' || address === null) return { path: where.path as string }
      return { host: address.address, port: address.port }
    },
    async evaluate(message) {
      if (handler === null) throw new HookringError('REQUEST_UNHANDLED', 'the server has no handler')
      const caller = scope.getStore() ?? null
      const { handle = -1, user = null, restricted = false, signal = NEVER } = caller ?? {}
      return handler(message, { kind: 'sync', handle, user, restricted, signal })
    },
    disconnect(handle) {
      for (const connection of connections) {
        if (connection.peer?.handle !== handle) continue
        connection.end('server', 'the server closed the connection')
        return true
      }
      return false
    },
    close({ graceMs = DEFAULT_GRACE_MS } = {}) {
      closing ??= close(graceMs)
      return closing
    },
    [Symbol.asyncDispose]: () => server.close(),
  }
  return server
}

const NEVER = new AbortController().signal

function checkWhere({ path, port, ...rest }: ListenOptions): 'tcp' | 'unix' {
  const unknown = Object.keys(rest).find((name) => name !== 'host')
  const isRight = path === undefined ? Number.isInteger(port) : typeof path === 'string' && port === undefined
  if (unknown === undefined && isRight) return path === undefined ? 'tcp' : 'unix'
  throw new HookringError('OPTIONS_INVALID', 'listen takes { port, host } or { path }')
}

async function listenOn(listener: Server, { host = '127.0.0.1', port, path }: ListenOptions): Promise<void> {
  const attempt = () =>
    new Promise<void>((resolve, reject) => {
      listener.once('error', reject)
      listener.listen(path === undefined ? { host, port: port as number } : { path }, () => {
        listener.off('error', reject)
        resolve()
      })
    })
  try {
    await attempt().catch(async (error: NodeJS.ErrnoException) => {
      if (path === undefined || error.code !== 'EADDRINUSE' || !(await isLeftBehind(path))) throw error
      await unlink(path)
      await attempt()
    })
  } catch (cause) {
    const where = path ?? `${host}:${port}`
    throw new HookringError('LISTEN_FAILED', `the server could not listen at ${where}: ${messageOf(cause)}`, { cause })
  }
}

/** Whether a path is that of a unix socket at which nobody listens: its server was killed. */
async function isLeftBehind(path: string): Promise<boolean> {
  if (!(await lstat(path)).isSocket()) return false
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}
