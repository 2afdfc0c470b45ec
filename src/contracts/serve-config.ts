/**
 * What `hookring serve` is told: which servers to start, where they listen, and with which plugins. Written by operators,
 * in TypeScript, JavaScript or JSON.
 */
import { z } from 'zod/v4'
import { attachOptionsSchema } from './mqtt-options.js'
import { pluginOptionsSchema, url } from './option-schemas.js'
import type { PluginOptions } from './options.js'
import { parseOptions } from './parse-options.js'
import { refuseZod3, type Schema } from './schema.js'

/** The shipped plugins, as a config file that cannot call functions names them. */
const SHIPPED_HOOKS = [
  'noop',
  'acl',
  'auth',
  'rate-limit',
  'logger',
  'sys',
  'redis',
  'cluster',
  'payload-limiter',
  'login-auditor',
  'tracing',
] as const
export type ShippedHook = (typeof SHIPPED_HOOKS)[number]

/** PEM files, relative to the config file. */
const tls = z.strictObject({
  cert: z.string().min(1),
  key: z.string().min(1),
  /** Who signs clients: one without a certificate of theirs is refused. */
  ca: z.string().min(1).optional(),
})

const tcpAddress = z.strictObject({
  port: z.int().min(0).max(65_535),
  host: z.string().min(1).default('127.0.0.1'),
  tls: tls.optional(),
})
const unixAddress = z.strictObject({ path: z.string().min(1) })
const address = z.union([tcpAddress, unixAddress])
/** Who may connect is who may write to the socket's file: 0o600, or "600" in JSON. Left out: what the umask leaves. */
const mode = z.union([
  z.int().min(0).max(0o777),
  z
    .string()
    .regex(/^0?[0-7]{3}$/)
    .transform((octal) => Number.parseInt(octal, 8)),
])
const connectionAddress = z.union([tcpAddress, unixAddress.extend({ mode: mode.optional() })])

/** Either `from`, as the engine takes it (`./file` is relative to the config file), or `hook`, a shipped plugin. */
const plugin = z
  .looseObject({
    hook: z.enum(SHIPPED_HOOKS).optional(),
    from: z.union([z.string().min(1), url]).optional(),
  })
  .refine(({ hook, from }) => (hook === undefined) !== (from === undefined), 'must have either from or hook')

/** What every server has: plugins, and options of its engine. */
const hooked = {
  plugins: z.array(plugin).default([]),
  /** Options of createHookEngine but contract, plugins, services and registry. */
  engine: z.record(z.string(), z.unknown()).default({}),
}

const aedesFunction = z.custom<object>((value) => typeof value === 'function', 'must be a function').optional()
const aedesPart = z
  .custom<object>((value) => typeof value === 'object' && value !== null, 'must be an object')
  .optional()
const aedesNumber = z.number().finite().min(0).optional()

/** Options of Aedes 1, by their names there. */
const aedesOptions = z.strictObject({
  id: z.string().min(1).optional(),
  concurrency: aedesNumber,
  heartbeatInterval: aedesNumber,
  connectTimeout: aedesNumber,
  drainTimeout: aedesNumber,
  keepaliveLimit: aedesNumber,
  queueLimit: aedesNumber,
  maxInflightInbound: aedesNumber,
  maxClientsIdLength: aedesNumber,
  maxTopicLevels: aedesNumber,
  trustProxy: z.boolean().optional(),
  trustedProxies: z.array(z.string()).optional(),
  mq: aedesPart,
  persistence: aedesPart,
  decodeProtocol: aedesFunction,
  preConnect: aedesFunction,
  authenticate: aedesFunction,
  authorizePublish: aedesFunction,
  authorizeSubscribe: aedesFunction,
  authorizeForward: aedesFunction,
  published: aedesFunction,
})

const mqttServer = z.strictObject({
  ...hooked,
  listen: z
    .array(address)
    .min(1)
    .default([{ port: 1883, host: '127.0.0.1' }]),
  /** Aedes' options: `id`, `queueLimit`, `maxClientsIdLength`, `connectTimeout`, `heartbeatInterval`, ... */
  broker: aedesOptions.default({}),
  /** Options of attachHooks: `onUndecided`, `holdMs`, `maxPacketBytes`, `maxUnauthenticated`, ... */
  attach: attachOptionsSchema.prefault({}),
})

const connectionServer = z.strictObject({
  ...hooked,
  listen: z.array(connectionAddress).min(1),
  /** Options of createConnectionServer but engine: `users`, `handler`, `restricted`, `maxFrameBytes`, ... */
  server: z.record(z.string(), z.unknown()).default({}),
})

const exhookProvider = z.strictObject({
  ...hooked,
  /** The version of the contract that the plugins are written for; brokers of all versions are served. */
  contract: z.union([z.literal(1), z.literal(2), z.literal(3)]).default(3),
  tls: tls.optional(),
  /** Options of startExhookProvider but tls: `address`, `topics`, `requestTimeoutMs`, ... */
  provider: z.record(z.string(), z.unknown()).default({}),
})

/** A config file's default export, as operators write it. */
export const serveConfigSchema = z
  .strictObject({
    /** An MQTT broker with the hooks of mqtt@1. Needs `aedes`. */
    mqtt: mqttServer.optional(),
    /** A connection server with the hooks of connection@1. Needs `@msgpack/msgpack`. */
    connection: connectionServer.optional(),
    /** A provider that MQTT brokers call, with the hooks of exhook@1 to @3. Needs `@grpc/grpc-js`, `@grpc/proto-loader`. */
    exhook: exhookProvider.optional(),
    /** Prometheus metrics of all servers on `/metrics`, and `/healthz` and `/readyz`. */
    metrics: z.strictObject({ listen: tcpAddress.omit({ tls: true }) }).optional(),
    /** Longest time for an orderly end. */
    shutdownMs: z.number().positive().max(600_000).default(10_000),
  })
  .refine(
    ({ mqtt, connection, exhook }) => mqtt !== undefined || connection !== undefined || exhook !== undefined,
    'must name a server to start: mqtt, connection or exhook',
  )

export type ResolvedServeConfig = z.output<typeof serveConfigSchema>
export type ServeAddress = z.output<typeof address>
export type ServePlugin = z.output<typeof plugin>

type WithPlugins<Server> = Server extends { plugins?: unknown }
  ? Omit<Server, 'plugins'> & { plugins?: readonly (PluginOptions | ShippedPlugin)[] }
  : Server

/** A shipped plugin by name, with its config and what else the engine takes of a plugin. */
type ShippedPlugin = Omit<PluginOptions, 'from'> & { hook: ShippedHook }

type Input = z.input<typeof serveConfigSchema>
/** A config file's default export. */
export interface ServeConfig {
  /** An MQTT broker with the hooks of mqtt@1. Needs `aedes`. */
  mqtt?: WithPlugins<NonNullable<Input['mqtt']>> | undefined
  /** A connection server with the hooks of connection@1. Needs `@msgpack/msgpack`. */
  connection?: WithPlugins<NonNullable<Input['connection']>> | undefined
  /** A provider that MQTT brokers call, with the hooks of exhook@1 to @3. Needs `@grpc/grpc-js`, `@grpc/proto-loader`. */
  exhook?: WithPlugins<NonNullable<Input['exhook']>> | undefined
  /** Prometheus metrics of all servers on `/metrics`, and `/healthz` and `/readyz`. */
  metrics?: Input['metrics']
  /** Longest time for an orderly end, in milliseconds (up to 600,000). Default 10,000. */
  shutdownMs?: number | undefined
}
true satisfies Exclude<keyof Input, keyof ServeConfig> extends never ? true : never

/** @throws HookringError CONFIG_INVALID, naming the file and the path in it */
export function parseServeConfig(value: unknown, file: string): ResolvedServeConfig {
  return parseOptions(serveConfigSchema, value, file, 'CONFIG_INVALID')
}

/** The options of a plugin but its config. @throws HookringError CONFIG_INVALID */
export function checkPluginOptions(options: unknown, where: string): void {
  parseOptions(pluginOptionsSchema, options, where, 'CONFIG_INVALID')
}

/** A plugin's config, by the plugin's own schema. @throws HookringError PLUGIN_CONFIG_INVALID, ZOD_TOO_OLD */
export function checkPluginConfig(schema: Schema, config: unknown, plugin: string): void {
  refuseZod3(schema, `plugin ${plugin}: its config schema`)
  parseOptions(schema as unknown as z.ZodType, config, `plugin ${plugin}: config`, 'PLUGIN_CONFIG_INVALID')
}

/** Gives a config file its types: `export default defineConfig({ mqtt: { ... } })`. */
export function defineConfig(config: ServeConfig): ServeConfig {
  return config
}
