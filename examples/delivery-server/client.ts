/** A client of the delivery service with promises. Used by the demo, the benchmarks and the tests. */
import {
  type ClientOptions,
  credentials,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { DeliveryClient, type DeliveryRpcs, type EnqueueRequest } from './protocol.js'

export interface CallOptions {
  /** From now, in milliseconds. */
  deadlineMs?: number
  signal?: AbortSignal
}

export interface OutgoingMessage {
  recipientKey: Uint8Array
  channelId: Uint8Array
  payload: Uint8Array
  sealedSender?: boolean
}

export interface IncomingMessage {
  seq: bigint
  /** null: sealed sender. */
  senderIdentity: Uint8Array | null
  payload: Uint8Array
}

/** What became of one message of a batch; code 0: enqueued. */
export interface BatchResult {
  seq: bigint
  code: number
  reason: string
}

/** How an RPC failed; `code` is a gRPC status. */
export type RpcFailure = ServiceError

export type DeliveryConnection = ReturnType<typeof connectDelivery>

/** Connects to `host:port`. Each connection has a session of its own once it has logged in. */
export function connectDelivery(address: string, options: ClientOptions = {}) {
  const client = new DeliveryClient(address, credentials.createInsecure(), options)
  const metadata = new Metadata()

  const call = <Name extends keyof DeliveryRpcs>(
    name: Name,
    request: DeliveryRpcs[Name][0],
    { deadlineMs, signal }: CallOptions = {},
  ): Promise<DeliveryRpcs[Name][1]> =>
    new Promise((resolve, reject) => {
      const callOptions: GrpcCallOptions = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }
      const method = client[name] as UnaryMethod<DeliveryRpcs[Name][0], DeliveryRpcs[Name][1]>
      const running = method.call(client, request, metadata, callOptions, (error, reply) => {
        signal?.removeEventListener('abort', cancel)
        if (error !== null) reject(error)
        else resolve(reply as DeliveryRpcs[Name][1])
      })
      const cancel = () => running.cancel()
      if (signal?.aborted) cancel()
      else signal?.addEventListener('abort', cancel)
    })

  return {
    async register(user: { username: string; password: string; identityKey: Uint8Array }, options?: CallOptions) {
      await call('Register', user, options)
    },

    /** Logs in; later calls of this connection belong to the session. */
    async login(user: { username: string; password: string }, options?: CallOptions) {
      const { sessionToken } = await call('Login', user, options)
      metadata.set('authorization', `Bearer ${sessionToken}`)
    },

    createChannel: (peerKey: Uint8Array, options?: CallOptions) => call('CreateChannel', { peerKey }, options),

    /** Returns the message's sequence number. */
    async enqueue(message: OutgoingMessage, options?: CallOptions): Promise<bigint> {
      return BigInt((await call('Enqueue', wireMessage(message), options)).seq)
    },

    async batchEnqueue(messages: readonly OutgoingMessage[], options?: CallOptions): Promise<BatchResult[]> {
      const { results } = await call('BatchEnqueue', { messages: messages.map(wireMessage) }, options)
      return results.map(({ seq, code, reason }) => ({ seq: BigInt(seq), code, reason }))
    },

    async fetch(channelId: Uint8Array, { limit = 0, ...options }: CallOptions & { limit?: number } = {}) {
      return (await call('Fetch', { channelId, limit }, options)).messages.map(incoming)
    },

    /** Waits up to `timeoutMs` for a first message; empty when none came. */
    async fetchWait(
      channelId: Uint8Array,
      { timeoutMs, limit = 0, ...options }: CallOptions & { timeoutMs: number; limit?: number },
    ) {
      return (await call('FetchWait', { channelId, limit, timeoutMs }, options)).messages.map(incoming)
    },

    /** The server's clock, in milliseconds since the Unix epoch. No hook is asked. */
    async ping(options?: CallOptions): Promise<number> {
      return Number((await call('Ping', {}, options)).serverTimeMs)
    },

    close() {
      client.close()
    },
  }
}

type UnaryMethod<Request, Reply> = (
  request: Request,
  metadata: Metadata,
  options: GrpcCallOptions,
  callback: (error: ServiceError | null, reply?: Reply) => void,
) => { cancel(): void }

function wireMessage({ sealedSender = false, ...message }: OutgoingMessage): EnqueueRequest {
  return { ...message, sealedSender }
}

function incoming({
  seq,
  senderIdentity,
  payload,
}: {
  seq: string
  senderIdentity: Uint8Array
  payload: Uint8Array
}): IncomingMessage {
  return { seq: BigInt(seq), senderIdentity: senderIdentity.byteLength === 0 ? null : senderIdentity, payload }
}
