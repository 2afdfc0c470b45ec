/**
 * Aedes brokers for tests, on a loopback port, with an engine of mqtt@1 attached, and mqtt.js clients of them. Closed when
 * the test is over.
 */
import { connect as connectSocket, createServer, type Server } from 'node:net'
import { Aedes, type AedesOptions } from 'aedes'
import { createHookEngine, type EngineOptions, type HookEngine, type PluginOptions } from 'hookring'
import { type AttachedHooks, type AttachOptions, attachHooks } from 'hookring/aedes'
import { mqtt as contract } from 'hookring/contracts'
import { type IClientOptions, MqttClient, connect as open } from 'mqtt'
import { onTestFinished } from 'vitest'
import { fixture, until } from './lab.js'
import { type LoggedLine, recordingLogger } from './recording-logger.js'

type Points = typeof contract.hookpoints
type Offered = (typeof contract)['services']
export type MqttHookEngine = HookEngine<Points, Offered>

export interface BrokerOptions {
  plugins?: readonly PluginOptions[]
  /** Of the engine. Without spares, and with a deadline that a busy machine keeps, unless told otherwise. */
  engine?: Omit<EngineOptions<Points, Offered>, 'contract' | 'logger' | 'plugins'>
  /** Of Aedes. */
  aedes?: AedesOptions
  attach?: AttachOptions
  /** Where it listens: a port of 127.0.0.1, or a unix socket. Default: a free port. */
  listen?: number | string
  /** Aedes alone, with no engine. */
  bare?: boolean
}

export interface RunningBroker {
  readonly aedes: Aedes
  readonly server: Server
  readonly url: string
  /** Where there is one: not with `bare`. */
  readonly engine: MqttHookEngine
  readonly attached: AttachedHooks
  readonly lines: readonly LoggedLine[]
  /** The events that actors heard at a hookpoint, so far. */
  heard(hookpoint: string): Record<string, unknown>[]
  /** Resolves with the events when an actor has heard `count` at the hookpoint. */
  hears(hookpoint: string, count?: number): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** A plugin that does what `config` says; see test/fixtures/mqtt/actor.mjs. */
export function mqttActor(config: object, options: Partial<PluginOptions> = {}): PluginOptions {
  return { from: fixture('mqtt/actor.mjs'), config, ...options }
}

export async function startBroker(options: BrokerOptions = {}): Promise<RunningBroker> {
  const { plugins = [], listen = 0, bare = false } = options
  const logger = recordingLogger()
  const aedes = await Aedes.createBroker(options.aedes)
  let engine: MqttHookEngine | null = null
  let attached: AttachedHooks | null = null
  if (!bare) {
    engine = await createHookEngine({
      quarantine: false,
      spares: 0,
      timeoutMs: 5_000,
      ...options.engine,
      contract,
      logger,
      plugins,
    })
    attached = attachHooks(aedes, engine, options.attach)
  }
  const server = createServer(aedes.handle)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (typeof listen === 'string') server.listen(listen, resolve)
    else server.listen(listen, '127.0.0.1', resolve)
  })
  const address = server.address()
  let closing: Promise<void> | null = null

  const heard = (hookpoint: string) =>
    logger.lines
      .filter(({ message }) => message === `heard ${hookpoint}`)
      .map(({ fields }) => fields.event as Record<string, unknown>)

  const running: RunningBroker = {
    aedes,
    server,
    url: typeof address === 'string' ? `unix:${address}` : `mqtt://127.0.0.1:${address?.port}`,
    get engine() {
      return engine as MqttHookEngine
    },
    get attached() {
      return attached as AttachedHooks
    },
    lines: logger.lines,
    heard,
    async hears(hookpoint, count = 1) {
      await until(`${count} of ${hookpoint}`, () => heard(hookpoint).length >= count)
      return heard(hookpoint)
    },
    close() {
      closing ??= (async () => {
        await new Promise<void>((resolve) => aedes.close(() => resolve()))
        await new Promise<void>((resolve) => server.close(() => resolve()))
        await engine?.close()
      })()
      return closing
    },
  }
  onTestFinished(() => running.close())
  return running
}

export interface TestClient {
  readonly mqtt: MqttClient
  /** What it has received, as `topic payload`, in order. */
  readonly received: readonly string[]
  /** The same, whole. */
  readonly messages: readonly { topic: string; payload: string; qos: number; retain: boolean; dup: boolean }[]
  /** Resolves with what it received when that is so many messages. */
  receives(count: number): Promise<readonly string[]>
  /** The codes of the SUBACK, in the filters' order. */
  subscribe(filters: Record<string, 0 | 1 | 2>): Promise<number[]>
  publish(topic: string, payload?: string | Buffer, options?: { qos?: 0 | 1 | 2; retain?: boolean }): Promise<void>
  /** Says DISCONNECT. */
  end(): Promise<void>
  /** Ends the connection without a word. */
  break(): Promise<void>
  readonly isConnected: boolean
  /** Resolves when its connection has ended; of one that reconnects, the first. */
  readonly closed: Promise<void>
}

/**
 * An mqtt.js client (3.1.1, which does not reconnect), connected. Rejects with the CONNACK's code as `code` when it is
 * refused.
 */
export async function connect(broker: { readonly url: string }, options: IClientOptions = {}): Promise<TestClient> {
  const messages: { topic: string; payload: string; qos: number; retain: boolean; dup: boolean }[] = []
  const all: IClientOptions = { reconnectPeriod: 0, connectTimeout: 10_000, ...options }
  const early = (client: MqttClient) =>
    client.on('message', (topic, payload, { qos, retain, dup }) => {
      messages.push({ topic, payload: payload.toString(), qos, retain, dup })
    })
  const client = await connectWith(broker.url, all, early)
  const received = () => messages.map(({ topic, payload }) => `${topic} ${payload}`)
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  return {
    mqtt: client,
    get received() {
      return received()
    },
    messages,
    async receives(count) {
      await until(`${count} messages`, () => messages.length >= count)
      return received()
    },
    subscribe: (filters) =>
      new Promise((resolve) => {
        const wanted = Object.fromEntries(Object.entries(filters).map(([filter, qos]) => [filter, { qos }]))
        client.subscribe(wanted, (_error, granted, packet) => {
          resolve((packet?.granted as number[] | undefined) ?? granted?.map(({ qos }) => qos) ?? [])
        })
      }),
    async publish(topic, payload = '', publishOptions = {}) {
      await client.publishAsync(topic, payload, publishOptions)
    },
    async end() {
      await client.endAsync()
    },
    async break() {
      client.stream.destroy()
      await closed
    },
    get isConnected() {
      return client.connected
    },
    closed,
  }
}

/** Like connectAsync, but listening for messages from the first moment. */
async function connectWith(
  url: string,
  options: IClientOptions,
  prepare: (client: MqttClient) => void,
): Promise<MqttClient> {
  const client = url.startsWith('unix:')
    ? new MqttClient(() => connectSocket(url.slice(5)), options)
    : open(url, options)
  onTestFinished(() => {
    client.end(true)
  })
  prepare(client)
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    client.once('error', reject)
    client.once('close', () => reject(new Error('the connection was closed before it was accepted')))
  })
  // An error without a listener would end the process; tests look at what comes of it.
  client.on('error', () => {})
  return client
}
