/**
 * A gRPC channel to one provider: unary calls, and whether it is there. It is connected all the time, and again after each
 * loss, with growing pauses. The home of @grpc/grpc-js in lanes. The lane's thread.
 */
import { readFile } from 'node:fs/promises'
import type { ChannelCredentials, Client } from '@grpc/grpc-js'
import { HookringError } from '../../../contracts/errors.js'
import type { ProviderConfig } from '../../../contracts/remote-provider.js'
import { describe } from '../../../plugin/setup.js'
import { StoppedAtDeadline } from '../runtime.js'
import { grpcMissing, type Method, type WireMessage } from './wire.js'

/** `down`: the last attempt to connect has failed; the next one follows by itself. */
export type ConnectionState = 'connecting' | 'up' | 'down'

export interface CallLimits {
  /** Milliseconds since the Unix epoch. */
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
}

export interface Connection {
  readonly state: ConnectionState
  /**
   * Rejects with a RpcFailure for what gRPC says went wrong, StoppedAtDeadline past the deadline, HookringError
   * EVENT_INVALID for bytes that are no answer.
   */
  call(method: Method, message: WireMessage, limits: CallLimits): Promise<WireMessage>
  close(): void
}

export interface ConnectionOptions {
  readonly plugin: string
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:///PATH`. */
  readonly url: string
  readonly config: ProviderConfig
  onState(state: ConnectionState): void
}

/** What gRPC says went wrong; the message has the RPC, and the status by name. */
export class RpcFailure extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

export const STATUS = { DEADLINE_EXCEEDED: 4, UNIMPLEMENTED: 12, UNAVAILABLE: 14 } as const

/** A provider on the same machine is back within this time of its start; one that stays away costs one attempt in 5 s. */
const FIRST_RECONNECT_MS = 100
const LAST_RECONNECT_MS = 5_000
/** Above any answer that fits an event. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
/** As long as a timer can be: the connection is kept, since its loss means that the provider is loaded anew. */
const NEVER_IDLE_MS = 2_147_483_647
/** Timers fire a little early: a status that comes so close to the deadline is the deadline's. */
const DEADLINE_SLACK_MS = 5

/** @throws HookringError GRPC_MISSING, PLUGIN_CONFIG_INVALID */
export async function openConnection({ plugin, url, config, onState }: ConnectionOptions): Promise<Connection> {
  const grpc = await import('@grpc/grpc-js').catch((cause: unknown) => {
    throw grpcMissing(plugin, '@grpc/grpc-js', cause)
  })
  const { connectivityState, Metadata } = grpc
  const { protocol, hostname, port, pathname } = new URL(url)
  const isTls = protocol === 'https:'
  const target = protocol === 'unix:' ? `unix:${pathname}` : `${hostname}:${port || (isTls ? '443' : '80')}`
  const secured = isTls ? await tlsCredentials(plugin, config, grpc.credentials.createSsl) : null
  const { serverName } = config.tls ?? {}
  const client: Client = new grpc.Client(target, secured ?? grpc.credentials.createInsecure(), {
    'grpc.initial_reconnect_backoff_ms': FIRST_RECONNECT_MS,
    'grpc.max_reconnect_backoff_ms': LAST_RECONNECT_MS,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.client_idle_timeout_ms': NEVER_IDLE_MS,
    'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
    // A call that was sent is not sent again.
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(config.keepaliveMs === undefined
      ? {}
      : { 'grpc.keepalive_time_ms': config.keepaliveMs, 'grpc.keepalive_permit_without_calls': 1 }),
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
  })
  const channel = client.getChannel()
  let isClosed = false
  let state: ConnectionState = 'connecting'

  function follow(last: number): void {
    channel.watchConnectivityState(last, Number.POSITIVE_INFINITY, () => {
      if (isClosed) return
      // Asking connects a channel that has lost its connection.
      const now = channel.getConnectivityState(true)
      const next: ConnectionState =
        now === connectivityState.READY ? 'up' : now === connectivityState.TRANSIENT_FAILURE ? 'down' : 'connecting'
      follow(now)
      // While it tries again a provider that is away stays away.
      if (next === state || (next === 'connecting' && state === 'down')) return
      state = next
      onState(next)
    })
  }
  follow(channel.getConnectivityState(true))

  return {
    get state() {
      return state
    },
    async call(method, message, { deadline, signal }) {
      const bytes = method.encode(message)
      const reply = await new Promise<Buffer>((resolve, reject) => {
        if (signal?.aborted === true || Date.now() >= deadline) {
          reject(new StoppedAtDeadline())
          return
        }
        const call = client.makeUnaryRequest(
          method.path,
          asIs,
          asIs,
          bytes,
          new Metadata(),
          { deadline },
          (error, answer) => {
            signal?.removeEventListener('abort', cancel)
            if (error === null) resolve(answer as Buffer)
            else if (signal?.aborted === true) reject(new StoppedAtDeadline())
            else if (error.code === STATUS.DEADLINE_EXCEEDED && Date.now() >= deadline - DEADLINE_SLACK_MS)
              reject(new StoppedAtDeadline())
            else reject(new RpcFailure(error.code, `${method.name}: ${grpc.status[error.code]}: ${error.details}`))
          },
        )
        const cancel = () => call.cancel()
        signal?.addEventListener('abort', cancel, { once: true })
      })
      try {
        return method.decode(reply)
      } catch (cause) {
        const message = `${method.name}: what the provider answered is no message of the protocol: ${describe(cause)}`
        throw new HookringError('EVENT_INVALID', message, { cause })
      }
    },
    close() {
      isClosed = true
      client.close()
    },
  }
}

type CreateSsl = (root: Buffer | null, key: Buffer | null, chain: Buffer | null) => ChannelCredentials

/** Without files: the authorities that Node.js knows, and no certificate of its own. */
async function tlsCredentials(plugin: string, { tls = {} }: ProviderConfig, create: CreateSsl) {
  const read = async (key: 'caFile' | 'keyFile' | 'certFile') => {
    const path = tls[key]
    if (path === undefined) return null
    return readFile(path).catch((cause: unknown) => {
      const message = `plugin ${plugin}: config.tls.${key}: ${describe(cause)}`
      throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config', 'tls', key], cause })
    })
  }
  const [ca, key, cert] = [await read('caFile'), await read('keyFile'), await read('certFile')]
  try {
    return create(ca, key, cert)
  } catch (cause) {
    const message = `plugin ${plugin}: config.tls: ${describe(cause)}`
    throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config', 'tls'], cause })
  }
}

function asIs(bytes: Buffer): Buffer {
  return bytes
}
