/**
 * What an operator says of a connection server, its defaults and bounds. Read once, when a server is made.
 */
import { HookringError } from '../../contracts/index.js'
import type { Logger } from '../../index.js'
import type { ConnectionEngine } from './connection-registry.js'
import { type CredentialCheck, createCredentialCheck, type Users } from './credentials.js'
import { DEFAULT_MAX_FRAME_BYTES } from './frames.js'
import type { Caller, HostHooks } from './host-hooks.js'

export interface ServerRequest extends Caller {
  /** Whether somebody waits for what the handler returns. */
  readonly kind: 'sync' | 'async'
}

/** Evaluates a message: what it returns, or throws, is the response of a sync one. */
export type Handler = (message: unknown, request: ServerRequest) => unknown

/** A client that was let in. */
export interface Client {
  readonly user: string | null
  readonly transport: 'tcp' | 'unix'
  /** `address:port`; empty for a unix socket. */
  readonly remoteAddress: string
}

export interface ConnectionServerOptions {
  /** Of the contract connection@1. The server does not close it. */
  engine: ConnectionEngine
  /** Takes the messages for which no hook is installed, and those that no hook answers. */
  handler?: Handler | undefined
  /** Hooks in this process, to begin with; `server.hooks` sets and clears them later. */
  hooks?: Partial<HostHooks> | undefined
  /** Passwords by user, or a function that knows. Left out: everybody may connect, and `auth` is never asked. */
  users?: Users | undefined
  /** Whose connections are restricted. Default: nobody's. */
  restricted?: boolean | ((client: Client) => boolean) | undefined
  /** Of a frame, without its length. Default 1,000,000. */
  maxFrameBytes?: number | undefined
  /** Connections at once, of all addresses. Default 1024. */
  maxConnections?: number | undefined
  /** Connections at once that have not been let in yet, of all addresses. Default 256. */
  maxHandshakes?: number | undefined
  /** Requests of one connection that are under way at once; past it the connection is read no further. Default 64. */
  maxOutstanding?: number | undefined
  /** Async messages that wait for lanes, of all connections; past it connections are read no further. Default 1024. */
  maxPendingAsync?: number | undefined
  /** Bytes that may wait for one client: a message for one that is so far behind is refused. Default 16 MiB. */
  maxUnsentBytes?: number | undefined
  /** From accept to the end of the handshake, auth hooks included. Default 5,000. */
  handshakeTimeoutMs?: number | undefined
  /** A request, from when it was read to its answer. Default 30,000. */
  requestTimeoutMs?: number | undefined
  /** A frame that has begun, or bytes that the client does not take. Default 30,000. */
  stallTimeoutMs?: number | undefined
  /** A connection without messages. Default 0: for ever. */
  idleTimeoutMs?: number | undefined
  /** Pino-shaped. Default: lines on standard error. */
  logger?: Pick<Logger, 'warn' | 'error'> | undefined
}

export interface ResolvedServerOptions {
  readonly engine: ConnectionEngine
  readonly handler: Handler | null
  readonly hooks: Partial<HostHooks>
  readonly checkCredentials: CredentialCheck | null
  readonly isRestricted: (client: Client) => boolean
  readonly maxFrameBytes: number
  readonly maxConnections: number
  readonly maxHandshakes: number
  readonly maxOutstanding: number
  readonly maxPendingAsync: number
  readonly maxUnsentBytes: number
  readonly handshakeTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly stallTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly logger: Pick<Logger, 'warn' | 'error'> | undefined
}

const MAX_MS = 2_147_483_647
/** Bounds and defaults of the options that are numbers. */
export const NUMBERS = {
  maxFrameBytes: { fallback: DEFAULT_MAX_FRAME_BYTES, min: 1024, max: 64 * 1024 * 1024 },
  maxConnections: { fallback: 1024, min: 1, max: 1_000_000 },
  maxHandshakes: { fallback: 256, min: 1, max: 1_000_000 },
  maxOutstanding: { fallback: 64, min: 1, max: 65_536 },
  // What a lane has slots for by default.
  maxPendingAsync: { fallback: 1024, min: 1, max: 1_000_000 },
  maxUnsentBytes: { fallback: 16 * 1024 * 1024, min: 65_536, max: 1024 * 1024 * 1024 },
  handshakeTimeoutMs: { fallback: 5_000, min: 1, max: MAX_MS },
  requestTimeoutMs: { fallback: 30_000, min: 1, max: MAX_MS },
  stallTimeoutMs: { fallback: 30_000, min: 1, max: MAX_MS },
  idleTimeoutMs: { fallback: 0, min: 0, max: MAX_MS },
} as const
type NumberOption = keyof typeof NUMBERS

const KNOWN = ['engine', 'handler', 'hooks', 'users', 'restricted', 'logger', ...Object.keys(NUMBERS)]

/** @throws HookringError OPTIONS_INVALID */
export function resolveServerOptions(options: ConnectionServerOptions): ResolvedServerOptions {
  for (const name of Object.keys(options)) if (!KNOWN.includes(name)) throw invalid(name, 'is not known')
  const { engine, handler, hooks = {}, users, restricted = false, logger } = options
  if (handler !== undefined && typeof handler !== 'function') throw invalid('handler', 'must be a function')
  if (typeof hooks !== 'object' || hooks === null) throw invalid('hooks', 'must be an object of functions')
  if (typeof restricted !== 'boolean' && typeof restricted !== 'function') {
    throw invalid('restricted', 'must be true, false or a function')
  }
  if (logger !== undefined && (typeof logger?.warn !== 'function' || typeof logger.error !== 'function')) {
    throw invalid('logger', 'must have warn and error')
  }
  const numbers = {} as Record<NumberOption, number>
  for (const [name, { fallback, min, max }] of Object.entries(NUMBERS)) {
    const value = options[name as NumberOption] ?? fallback
    if (!Number.isInteger(value) || value < min || value > max) {
      throw invalid(name, `must be a whole number from ${min} to ${max}`)
    }
    numbers[name as NumberOption] = value
  }
  return {
    ...numbers,
    engine,
    hooks,
    logger,
    handler: handler ?? null,
    checkCredentials: users === undefined ? null : createCredentialCheck(users),
    isRestricted: typeof restricted === 'function' ? restricted : () => restricted,
  }
}

function invalid(name: string, problem: string): HookringError {
  return new HookringError('OPTIONS_INVALID', `createConnectionServer: ${name} ${problem}`, { path: [name] })
}
