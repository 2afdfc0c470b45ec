/** Connection servers for tests, with plugins in lanes, clients and bare sockets; all of it closed when the test is over. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHookEngine, type EngineOptions, type HookEngine, type PluginOptions } from 'hookring'
import {
  type Address,
  type ConnectionClient,
  type ConnectionServer,
  type ConnectionServerOptions,
  type ConnectOptions,
  connect,
  createConnectionServer,
} from 'hookring/connection'
import { type ConnectionContract, type ConnectionPoints, connection } from 'hookring/contracts'
import { onTestFinished } from 'vitest'
import { recordingLogger } from './recording-logger.js'

type Engine = HookEngine<ConnectionPoints, ConnectionContract['services']>

export interface Given extends Omit<ConnectionServerOptions, 'engine' | 'logger'> {
  plugins?: PluginOptions[]
  engineOptions?: Partial<EngineOptions<ConnectionPoints, ConnectionContract['services']>>
  /** Default tcp. */
  over?: 'tcp' | 'unix'
}

export interface Served {
  readonly engine: Engine
  readonly server: ConnectionServer
  readonly address: Address
  /** What the server and the plugins have logged. */
  readonly lines: ReturnType<typeof recordingLogger>['lines']
  client(options?: Partial<ConnectOptions>): Promise<ConnectionClient>
  socket(): Promise<BareSocket>
}

const plugin = (file: string, options: Partial<PluginOptions>): PluginOptions => ({
  from: new URL(`../adapters/fixtures/connection/${file}`, import.meta.url),
  timeoutMs: 5_000,
  ...options,
})

/** Keeps what its hooks are told, and does what sync messages say. */
export const journal = (options: Partial<PluginOptions> = {}) => plugin('journal.mjs', options)
/** Its hooks do what config says. */
export const raw = (config: Record<string, string>, options: Partial<PluginOptions> = {}) =>
  plugin('raw.mjs', { config, ...options })
/** For runtimes without Node.js. */
export const guest = (options: Partial<PluginOptions> = {}) => plugin('guest.mjs', options)

export async function serve({ plugins = [], engineOptions = {}, over = 'tcp', ...given }: Given = {}): Promise<Served> {
  const logger = recordingLogger()
  const engine = await createHookEngine({
    contract: connection,
    plugins,
    logger,
    spares: 0,
    quarantine: false,
    ...engineOptions,
  })
  const server = createConnectionServer({ engine, logger, ...given })
  onTestFinished(async () => {
    await server.close({ graceMs: 100 })
    await engine.close()
  })
  const address = await server.listen(over === 'tcp' ? { port: 0 } : { path: socketPath() })
  return {
    engine,
    server,
    address,
    lines: logger.lines,
    async client(options = {}) {
      const client = await connect({ ...address, ...options })
      onTestFinished(() => client.close())
      return client
    },
    socket: () => bareSocket(address),
  }
}

export function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hookring-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 's')
}

/** What the journal has been told: `hook handle rest`. */
export async function seenBy(client: ConnectionClient): Promise<unknown[][]> {
  return (await client.sync({ do: 'seen' })) as unknown[][]
}

/** A socket that speaks no protocol but frames, cut as it likes. */
export interface BareSocket {
  readonly socket: Socket
  write(bytes: Uint8Array | readonly number[]): void
  frame(type: number, payload?: Uint8Array | readonly number[]): void
  /** Version 1, MessagePack. */
  hello(credentials?: string): void
  /** The next frame, or null when the server has ended the connection. */
  next(): Promise<{ type: number; payload: Buffer } | null>
  /** The next frame, whose payload is an error. */
  error(): Promise<{ type: number; code: string; message: string }>
}

export function frame(type: number, payload: Uint8Array | readonly number[] = []): Buffer {
  const bytes = Buffer.from(payload)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(1 + bytes.byteLength, 0)
  head[4] = type
  return Buffer.concat([head, bytes])
}

export async function bareSocket(address: Address): Promise<BareSocket> {
  const socket = connectSocket(address as { path: string })
  onTestFinished(() => void socket.destroy())
  let held = Buffer.alloc(0)
  let isEnded = false
  let wake: (() => void) | null = null
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    wake?.()
  })
  const ended = () => {
    isEnded = true
    wake?.()
  }
  socket.on('end', ended).on('close', ended).on('error', ended)
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  const bare: BareSocket = {
    socket,
    write: (bytes) => void socket.write(Buffer.from(bytes)),
    frame: (type, payload) => void socket.write(frame(type, payload)),
    hello: (credentials = '') => bare.frame(1, Buffer.concat([Buffer.of(1, 0), Buffer.from(credentials)])),
    async next() {
      for (;;) {
        if (held.byteLength >= 4) {
          const bytes = 4 + held.readUInt32BE(0)
          if (held.byteLength >= bytes) {
            const found = { type: held[4] as number, payload: held.subarray(5, bytes) }
            held = held.subarray(bytes)
            return found
          }
        }
        if (isEnded) return null
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    async error() {
      const found = await bare.next()
      if (found === null) throw new Error('the connection ended without a word')
      const at = found.type === 7 ? 4 : 0
      return { type: found.type, ...JSON.parse(found.payload.subarray(at).toString()) }
    },
  }
  return bare
}
