/**
 * Starts and stops the delivery service as a gRPC server. Used by main.ts, the demo, the benchmarks and the tests; on the
 * server's thread.
 */
import { Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js'
import { deliveryService } from './protocol.js'
import { createDeliveryService, type DeliveryHooks } from './service.js'
import { createDeliveryStore, type StoreLimits } from './store.js'

export type { DeliveryHooks } from './service.js'

export interface DeliveryServerOptions {
  /** An engine for the contract `delivery`, or any object with such `hooks`. Without one nothing is hooked. */
  engine?: { readonly hooks: DeliveryHooks }
  /** 0 (the default) takes a free one. */
  port?: number
  host?: string
  limits?: Partial<StoreLimits>
  interceptors?: ServerInterceptor[]
  /** Told of errors that no RPC expects. Default: a line on stderr. */
  onError?: (error: unknown) => void
}

export interface StopOptions {
  /** How long running RPCs and open connections are waited for, each. Default 5,000 ms. */
  graceMs?: number
  /** Runs when no RPC is running and connections are still open: the moment that hooks call shutdown. */
  beforeDisconnect?: () => Promise<void>
}

export interface DeliveryServer {
  readonly port: number
  /** `host:port`, for `connectDelivery`. */
  readonly address: string
  /** Refuses new RPCs, lets running ones end, then closes connections. Idempotent. */
  stop(options?: StopOptions): Promise<void>
}

const NO_HOOKS: DeliveryHooks = {
  onMessageEnqueue: () => ({ kind: 'continue' }),
  onBatchEnqueue() {},
  onAuth() {},
  onChannelCreated() {},
  onFetch() {},
  onUserRegistered() {},
}

export async function startDeliveryServer(options: DeliveryServerOptions = {}): Promise<DeliveryServer> {
  const { engine, port = 0, host = '127.0.0.1', limits, interceptors = [], onError = console.error } = options
  const service = createDeliveryService({
    hooks: engine?.hooks ?? NO_HOOKS,
    store: createDeliveryStore(limits),
    onError,
  })
  const server = new Server({ interceptors })
  server.addService(deliveryService, service.handlers)
  const boundPort = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })

  const stop = async ({ graceMs = 5_000, beforeDisconnect }: StopOptions) => {
    await within(graceMs, service.drain())
    await beforeDisconnect?.()
    const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()))
    await within(graceMs, closed)
    server.forceShutdown()
  }
  let stopped: Promise<void> | null = null
  return {
    port: boundPort,
    address: `${host}:${boundPort}`,
    stop: (stopOptions = {}) => (stopped ??= stop(stopOptions)),
  }
}

async function within(graceMs: number, ending: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs)
  })
  await Promise.race([ending, late])
  clearTimeout(timer)
}
