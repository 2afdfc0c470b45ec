/** A service with one method of each kind, in JSON, on loopback; and promises around its client. For tests of the adapter. */
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerInterceptor,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type sendUnaryData,
} from '@grpc/grpc-js'

export interface Order {
  item: string
  total: number
}
export interface Receipt {
  text: string
}

const serialize = (value: object) => Buffer.from(JSON.stringify(value))
const deserialize = (bytes: Buffer) => JSON.parse(bytes.toString())
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/shop.v1.Shop/${name}`,
  requestStream,
  responseStream,
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
})
const definition = {
  Buy: method('Buy', false, false),
  Collect: method('Collect', true, false),
  List: method('List', false, true),
  Chat: method('Chat', true, true),
}
const ShopClient = makeGenericClientConstructor(definition, 'Shop')

export interface ShopHandlers {
  Buy?(call: ServerUnaryCall<Order, Receipt>, respond: sendUnaryData<Receipt>): void
  Collect?(call: ServerReadableStream<Order, Receipt>, respond: sendUnaryData<Receipt>): void
  List?(call: ServerWritableStream<Order, Receipt>): void
  Chat?(call: ServerDuplexStream<Order, Receipt>): void
}

export interface Ending {
  code: number
  details: string
  trailers: Metadata
}

/** How an RPC went, as its client saw it. */
export interface Seen extends Ending {
  replies: Receipt[]
}

export interface CallOptions {
  deadlineMs?: number
  metadata?: Record<string, string>
}

export async function startShop(handlers: ShopHandlers, interceptors: ServerInterceptor[]) {
  const server = new Server({ interceptors })
  server.addService(definition, handlers as never)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  const client = new ShopClient(`127.0.0.1:${port}`, credentials.createInsecure())

  const open = <Call>(name: keyof ShopHandlers, options: CallOptions, ...args: unknown[]): Call => {
    const metadata = new Metadata()
    for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value)
    const callOptions = options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs }
    return Reflect.apply(
      client[name] as (...all: unknown[]) => Call,
      client,
      insertOptions(args, metadata, callOptions),
    )
  }

  return {
    buy(order: Order, options: CallOptions = {}) {
      const ended = pending<Seen>()
      const call = open<{ cancel(): void }>('Buy', options, order, unaryCallback(ended.resolve))
      return { call, ended: ended.promise }
    },
    collect(options: CallOptions = {}) {
      const ended = pending<Seen>()
      const call = open<ClientDuplexStream<Order, Receipt>>('Collect', options, unaryCallback(ended.resolve))
      // Writing to a call that the server has ended is not what these tests are about.
      call.on('error', () => {})
      return { call, ended: ended.promise }
    },
    list(order: Order, options: CallOptions = {}) {
      const call = open<ClientReadableStream<Receipt>>('List', options, order)
      return { call, ended: readAll(call) }
    },
    chat(options: CallOptions = {}) {
      const call = open<ClientDuplexStream<Order, Receipt>>('Chat', options)
      return { call, ended: readAll(call) }
    },
    async [Symbol.asyncDispose]() {
      client.close()
      server.forceShutdown()
    },
  }
}

function insertOptions(args: unknown[], metadata: Metadata, options: object): unknown[] {
  const last = args.at(-1)
  return typeof last === 'function' ? [...args.slice(0, -1), metadata, options, last] : [...args, metadata, options]
}

function unaryCallback(resolve: (seen: Seen) => void) {
  return (error: ServiceError | null, reply?: Receipt) => {
    if (error === null) resolve({ code: 0, details: '', trailers: new Metadata(), replies: [reply as Receipt] })
    else resolve({ code: error.code, details: error.details, trailers: error.metadata, replies: [] })
  }
}

function readAll(call: ClientReadableStream<Receipt> | ClientDuplexStream<Order, Receipt>): Promise<Seen> {
  const replies: Receipt[] = []
  call.on('data', (reply: Receipt) => replies.push(reply))
  call.on('error', () => {})
  return new Promise((resolve) => {
    call.on('status', ({ code, details, metadata }) => resolve({ code, details, trailers: metadata, replies }))
  })
}

export function pending<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}
