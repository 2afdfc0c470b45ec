/**
 * gRPC channels to one provider: unary calls, and whether it is there. They are connected all the time, and again after each
 * loss, with growing pauses. The home of @grpc/grpc-js in lanes. The lane's thread.
 */
import { readFile } from 'node:fs/promises'
import type * as grpcModule from '@grpc/grpc-js'
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

export interface ConnectionOptions {
  readonly plugin: string
  /** `http://HOST:PORT`, `https://HOST:PORT` or `unix:///PATH`. */
  readonly url: string
  readonly config: ProviderConfig
  /** Of the first channel: the one by which the provider is loaded. */
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

type Grpc = typeof grpcModule

/** @throws HookringError GRPC_MISSING, PLUGIN_CONFIG_INVALID */
export async function openConnections({ plugin, url, config, onState }: ConnectionOptions): Promise<Connections> {
  const grpc = await import('@grpc/grpc-js').catch((cause: unknown) => {
    throw grpcMissing(plugin, '@grpc/grpc-js', cause)
  })
  const { protocol, hostname, port, pathname } = new URL(url)
  const isTls = protocol === 'https:'
  const target = protocol === 'unix:' ? `unix:${pathname}` : `${hostname}:${port || (isTls ? '443' : '80')}`
  const credentials = isTls
    ? await tlsCredentials(plugin, config, grpc.credentials.createSsl)
    : grpc.credentials.createInsecure()
  const clients = Array.from({ length: config.poolSize }, () => {
    return new grpc.Client(target, credentials, channelOptions(config))
  })
  return new Connections(grpc, clients, onState)
}

function channelOptions({ keepaliveMs, tls }: ProviderConfig) {
  const { serverName } = tls ?? {}
  return {
    'grpc.initial_reconnect_backoff_ms': FIRST_RECONNECT_MS,
    'grpc.max_reconnect_backoff_ms': LAST_RECONNECT_MS,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.client_idle_timeout_ms': NEVER_IDLE_MS,
    'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
    // A call that was sent is not sent again.
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    ...(keepaliveMs === undefined
      ? {}
      : { 'grpc.keepalive_time_ms': keepaliveMs, 'grpc.keepalive_permit_without_calls': 1 }),
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
  }
}

/** The channels of one provider. The first one says whether it is there; the others carry calls while they are connected. */
export class Connections {
  readonly #grpc: Grpc
  readonly #clients: readonly Client[]
  readonly #onState: (state: ConnectionState) => void
  #next = 0
  #state: ConnectionState = 'connecting'
  #isClosed = false

  constructor(grpc: Grpc, clients: readonly Client[], onState: (state: ConnectionState) => void) {
    this.#grpc = grpc
    this.#clients = clients
    this.#onState = onState
    this.#follow(this.#first.getChannel().getConnectivityState(true))
    for (const client of clients.slice(1)) client.getChannel().getConnectivityState(true)
  }

  get state(): ConnectionState {
    return this.#state
  }

  /**
   * Rejects with a RpcFailure for what gRPC says went wrong, StoppedAtDeadline past the deadline, HookringError
   * EVENT_INVALID for bytes that are no answer.
   */
  async call(method: Method, message: WireMessage, limits: CallLimits): Promise<WireMessage> {
    const reply = await this.#send(this.#pick(), method, method.encode(message), limits)
    try {
      return method.decode(reply)
    } catch (cause) {
      const text = `${method.name}: what the provider answered is no message of the protocol: ${describe(cause)}`
      throw new HookringError('EVENT_INVALID', text, { cause })
    }
  }

  close(): void {
    this.#isClosed = true
    for (const client of this.#clients) client.close()
  }

  get #first(): Client {
    return this.#clients[0] as Client
  }

  /** In turns, leaving out those that are not connected. */
  #pick(): Client {
    for (let tried = 0; tried < this.#clients.length; tried += 1) {
      this.#next = (this.#next + 1) % this.#clients.length
      const client = this.#clients[this.#next] as Client
      // Asking connects a channel that has lost its connection.
      if (client.getChannel().getConnectivityState(true) === this.#grpc.connectivityState.READY) return client
    }
    return this.#first
  }

  #send(client: Client, method: Method, bytes: Buffer, { deadline, signal }: CallLimits): Promise<Buffer> {
    const { Metadata, status } = this.#grpc
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true || Date.now() >= deadline) {
        reject(new StoppedAtDeadline())
        return
      }
      const metadata = new Metadata()
      const call = client.makeUnaryRequest(method.path, asIs, asIs, bytes, metadata, { deadline }, (error, answer) => {
        signal?.removeEventListener('abort', cancel)
        const isPast = error?.code === STATUS.DEADLINE_EXCEEDED && Date.now() >= deadline - DEADLINE_SLACK_MS
        if (error === null) resolve(answer as Buffer)
        else if (signal?.aborted === true || isPast) reject(new StoppedAtDeadline())
        else reject(new RpcFailure(error.code, `${method.name}: ${status[error.code]}: ${error.details}`))
      })
      const cancel = () => call.cancel()
      signal?.addEventListener('abort', cancel, { once: true })
    })
  }

  #follow(last: number): void {
    const { connectivityState } = this.#grpc
    const channel = this.#first.getChannel()
    channel.watchConnectivityState(last, Number.POSITIVE_INFINITY, () => {
      if (this.#isClosed) return
      // Asking connects a channel that has lost its connection.
      const now = channel.getConnectivityState(true)
      const next: ConnectionState =
        now === connectivityState.READY ? 'up' : now === connectivityState.TRANSIENT_FAILURE ? 'down' : 'connecting'
      this.#follow(now)
      // While it tries again a provider that is away stays away.
      if (next === this.#state || (next === 'connecting' && this.#state === 'down')) return
      this.#state = next
      this.#onState(next)
    })
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
