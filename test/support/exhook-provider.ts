/**
 * A provider of the ExHook protocol for tests: a grpc-js server that knows the .proto files and nothing else of hookring.
 * It writes down what it is called with, and answers what the test says.
 */
import { fileURLToPath } from 'node:url'
import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { onTestFinished } from 'vitest'
import { until } from './lab.js'

export type Version = 1 | 2 | 3
export type Message = Record<string, unknown>

export interface HookSpec {
  readonly name: string
  readonly topics?: readonly string[]
}

/** What is answered: a message, its bytes, a status of gRPC that it fails with, or nothing at all. */
export type Answer = Message | Buffer | { readonly code: number; readonly details: string } | 'never'

export interface ProviderOptions {
  readonly hooks: readonly HookSpec[]
  /** By the RPC's name; without one a question is none of its business. */
  readonly answers?: Readonly<Record<string, (request: Message) => Answer | Promise<Answer>>>
  /** Of one that was there before. */
  readonly port?: number
  /** In place of a port. */
  readonly socket?: string
  readonly credentials?: ServerCredentials
  /** The test ends it. */
  readonly keep?: boolean
}

export interface TestProvider {
  readonly url: string
  readonly port: number
  readonly calls: readonly { readonly rpc: string; readonly request: Message }[]
  /** Addresses of the connections that requests came by. */
  readonly peers: ReadonlySet<string>
  /** The requests of an RPC so far. */
  requests(rpc: string): Message[]
  /** The requests of an RPC, when there are so many. */
  heard(rpc: string, count?: number): Promise<Message[]>
  /** Ends at once, connections and all. */
  end(): void
}

const VALUED = ['OnClientAuthenticate', 'OnClientAuthorize', 'OnClientCheckAcl', 'OnMessagePublish']

export function serviceOf(version: Version): ServiceDefinition {
  const file = fileURLToPath(new URL(`../../proto/exhook-v${version}.proto`, import.meta.url))
  const options = { longs: String, enums: String, defaults: true, oneofs: true }
  const service = loadSync(file, options)[`emqx.exhook.v${version}.HookProvider`] as ServiceDefinition
  const rawToo = ([name, method]: [string, MethodDefinition<Message, Message>]) => [
    name,
    {
      ...method,
      responseSerialize: (value: Message) => (Buffer.isBuffer(value) ? value : method.responseSerialize(value)),
    },
  ]
  return Object.fromEntries(
    Object.entries(service).map((entry) => rawToo(entry as unknown as [string, MethodDefinition<Message, Message>])),
  ) as unknown as ServiceDefinition
}

export async function startProvider(version: Version, options: ProviderOptions): Promise<TestProvider> {
  const {
    hooks,
    answers = {},
    port: wanted = 0,
    socket,
    credentials = ServerCredentials.createInsecure(),
    keep = false,
  } = options
  const calls: { rpc: string; request: Message }[] = []
  const peers = new Set<string>()
  const service = serviceOf(version)
  const handle = async (rpc: string, request: Message): Promise<Answer> => {
    calls.push({ rpc, request })
    const answer = await answers[rpc]?.(request)
    if (answer !== undefined) return answer
    if (rpc === 'OnProviderLoaded') return { hooks: hooks.map(({ name, topics = [] }) => ({ name, topics })) }
    return VALUED.includes(rpc) ? { type: 'IGNORE' } : {}
  }
  const server = new Server()
  server.addService(
    service,
    Object.fromEntries(
      Object.keys(service).map((rpc) => [
        rpc,
        (call: ServerUnaryCall<Message, Message>, respond: sendUnaryData<Message>) => {
          peers.add(call.getPeer())
          void handle(rpc, call.request).then((answer) => {
            if (answer === 'never') return
            if ('code' in answer && 'details' in answer) respond(answer as { code: number; details: string })
            else respond(null, answer as Message)
          })
        },
      ]),
    ),
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(socket === undefined ? `127.0.0.1:${wanted}` : `unix:${socket}`, credentials, (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  const end = () => server.forceShutdown()
  if (!keep) onTestFinished(end)
  const requests = (rpc: string) => calls.filter((call) => call.rpc === rpc).map(({ request }) => request)
  return {
    url:
      socket === undefined ? `${credentials._isSecure() ? 'https' : 'http'}://127.0.0.1:${port}` : `unix://${socket}`,
    port,
    calls,
    peers,
    requests,
    async heard(rpc, count = 1) {
      await until(`${count} of ${rpc}`, () => requests(rpc).length >= count)
      return requests(rpc)
    },
    end,
  }
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const { port, end } = await startProvider(3, { hooks: [], keep: true })
  end()
  return port
}
