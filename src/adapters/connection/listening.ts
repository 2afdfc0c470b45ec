/**
 * Where a connection server listens: TCP and unix sockets, with TLS or without. On the host's thread.
 */
import { chmod, lstat, unlink } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, createServer as createTlsServer } from 'node:tls'
import { isMainThread } from 'node:worker_threads'
import { HookringError } from '../../contracts/index.js'
import { messageOf } from './handshake.js'

/** PEM texts, not file names. */
export interface ServerTls {
  /** The server's certificate, with those between it and its root. */
  cert: string | Buffer
  /** The key of the certificate, PEM. */
  key: string | Buffer
  /** Who signs clients. Given: a client must show a certificate of theirs (mutual TLS). */
  ca?: string | Buffer | undefined
}

export interface ListenOptions {
  /** The address or name to listen at. Default `127.0.0.1`. */
  host?: string | undefined
  /** Of TCP; 0: any that is free. One of `port` and `path` must be given. */
  port?: number | undefined
  /** Of a unix socket, in place of host and port. Who may connect is who may write to it. */
  path?: string | undefined
  /** Of the unix socket's file, 0o600 for its owner alone. Default: what the process' umask leaves. */
  mode?: number | undefined
  /** Left out: plain text, for loopback and networks of one's own. */
  tls?: ServerTls | undefined
}

export type Address = { readonly host: string; readonly port: number } | { readonly path: string }

export type Transport = 'tcp' | 'unix'

export interface ListeningParts {
  /** Of the TLS handshake. */
  readonly handshakeTimeoutMs: number
  readonly maxConnections: number
  accept(socket: Socket, transport: Transport): void
  /** A peer that could not be talked to by TLS. */
  refusedByTls(remoteAddress: string, problem: string): void
}

const KNOWN = ['host', 'port', 'path', 'mode', 'tls']
const MAX_MODE = 0o777

/** @throws HookringError LISTEN_FAILED, OPTIONS_INVALID */
export async function listenAt(
  where: ListenOptions,
  parts: ListeningParts,
): Promise<{ listener: Server; address: Address }> {
  const transport = checkWhere(where)
  const listener = listenerFor(where, transport, parts)
  await bind(listener, where)
  const address = listener.address()
  if (typeof address === 'string' || address === null) return { listener, address: { path: where.path as string } }
  return { listener, address: { host: address.address, port: address.port } }
}

function checkWhere({ path, port, mode, tls, ...rest }: ListenOptions): Transport {
  const unknown = Object.keys(rest).find((name) => !KNOWN.includes(name))
  const isRight = path === undefined ? Number.isInteger(port) : typeof path === 'string' && port === undefined
  if (unknown !== undefined || !isRight) throw invalid('listen takes { port, host } or { path, mode }, and tls')
  if (mode !== undefined && (path === undefined || !Number.isInteger(mode) || mode < 0 || mode > MAX_MODE)) {
    throw invalid('listen: mode is for a unix socket, a number up to 0o777', 'mode')
  }
  if (tls !== undefined) checkTls(tls)
  return path === undefined ? 'tcp' : 'unix'
}

function checkTls(tls: ServerTls): void {
  try {
    if (tls.cert === undefined || tls.key === undefined) throw new Error('cert and key are both needed')
    // Else it would be found out at the first handshake.
    createSecureContext(tls)
  } catch (cause) {
    throw invalid(`listen: tls: ${messageOf(cause)}`, 'tls', cause)
  }
}

function listenerFor({ tls }: ListenOptions, transport: Transport, parts: ListeningParts): Server {
  const accept = (socket: Socket) => {
    // A client that has ended its side still gets its answers. One that ends in the middle of a TLS handshake is gone.
    socket.allowHalfOpen = true
    parts.accept(socket, transport)
  }
  if (tls === undefined) return createServer({ allowHalfOpen: true }, accept)
  const { cert, key, ca } = tls
  const mutual = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }
  const { handshakeTimeoutMs: handshakeTimeout, maxConnections } = parts
  const listener = createTlsServer({ cert, key, ...mutual, handshakeTimeout }, accept)
  // Those in the middle of a TLS handshake too.
  listener.maxConnections = maxConnections
  listener.on('tlsClientError', (error, socket) => {
    parts.refusedByTls(`${socket.remoteAddress ?? ''}:${socket.remotePort ?? ''}`, messageOf(error))
    socket.destroy()
  })
  return listener
}

async function bind(listener: Server, where: ListenOptions): Promise<void> {
  const { host = '127.0.0.1', port, path, mode } = where
  try {
    await attempt(listener, where).catch(async (error: NodeJS.ErrnoException) => {
      if (path === undefined || error.code !== 'EADDRINUSE' || !(await isLeftBehind(path))) throw error
      await unlink(path)
      await attempt(listener, where)
    })
    if (path !== undefined && mode !== undefined) await chmod(path, mode)
  } catch (cause) {
    const at = path ?? `${host}:${port}`
    throw new HookringError('LISTEN_FAILED', `the server could not listen at ${at}: ${messageOf(cause)}`, { cause })
  }
}

function attempt(listener: Server, { host = '127.0.0.1', port, path, mode }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    const listening = () => {
      listener.off('error', reject)
      resolve()
    }
    if (path === undefined) listener.listen({ host, port: port as number }, listening)
    else withUmask(mode, () => listener.listen({ path }, listening))
  })
}

/** The socket's file is made within the call: nobody else can connect before its mode is set. A worker has no umask of its own. */
function withUmask(mode: number | undefined, body: () => void): void {
  if (mode === undefined || !isMainThread) {
    body()
    return
  }
  const before = process.umask(MAX_MODE & ~mode)
  try {
    body()
  } finally {
    process.umask(before)
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

function invalid(message: string, option?: string, cause?: unknown): HookringError {
  return new HookringError('OPTIONS_INVALID', message, { ...(option !== undefined && { path: [option] }), cause })
}
