/** docs/reference/options.md, adapter-options.md and plugins.md. */
import { NUMBERS } from '../../dist/adapters/connection/server-options.js'
import { httpOptionsSchema, messageOptionsSchema } from '../../dist/contracts/http-options.js'
import { attachOptionsSchema } from '../../dist/contracts/mqtt-options.js'
import {
  engineOptionsSchema,
  limitsSchema,
  matchConditionSchema,
  pluginOptionsSchema,
  quarantineSchema,
} from '../../dist/contracts/option-schemas.js'
import { providerConfigSchema } from '../../dist/contracts/remote-provider.js'
import { serveConfigSchema } from '../../dist/contracts/serve-config.js'
import { aclConfig, aclRule } from '../../dist/hooks/acl.js'
import { authConfig } from '../../dist/hooks/auth.js'
import { clusterConfig } from '../../dist/hooks/cluster/config.js'
import { loggerConfig } from '../../dist/hooks/logger.js'
import { loginAuditorConfig } from '../../dist/hooks/login-auditor.js'
import { payloadLimiterConfig } from '../../dist/hooks/payload-limiter.js'
import { rateLimitConfig } from '../../dist/hooks/rate-limit.js'
import { redisConfig } from '../../dist/hooks/redis/index.js'
import { sysConfig } from '../../dist/hooks/sys.js'
import { tracingConfig } from '../../dist/hooks/tracing.js'
import { optionTable } from './options.mjs'

const OPTIONS = 'dist/contracts/options.d.ts'

const ENGINE = [
  {
    title: 'Engine',
    text: '`createHookEngine({ contract, plugins, ... })`. Times are in milliseconds, sizes in bytes, unless the name says otherwise.',
    from: [
      { file: 'dist/host/api.d.ts', name: 'EngineOptions' },
      { file: OPTIONS, name: 'EngineSettings' },
    ],
    schema: engineOptionsSchema,
  },
  {
    title: 'Plugin',
    text: 'One entry of `plugins`, and what `engine.add` and `engine.reload` take: `{ from, ... }`.',
    from: [{ file: OPTIONS, name: 'PluginOptions' }],
    schema: pluginOptionsSchema,
  },
  {
    title: 'Limits',
    text: '`limits`, of an engine for all bulkheads, or of a plugin for its own. They count for each bulkhead.',
    from: [{ file: OPTIONS, name: 'LimitOptions' }],
    schema: limitsSchema,
  },
  {
    title: 'Quarantine',
    text: '`quarantine` of the engine; `false` switches it off. [Operating](../guide/operating.md#quarantine) says what it does.',
    from: [{ file: OPTIONS, name: 'QuarantineOptions' }],
    schema: quarantineSchema,
  },
  {
    title: 'Match conditions',
    text: 'The operators of one field in `match`. A plain value means `eq`, a list means `in`. Paths reach into objects: `client.id`.',
    from: [{ file: OPTIONS, name: 'MatchOperators' }],
    schema: matchConditionSchema,
  },
  {
    title: 'Call',
    text: '`engine.hooks.onX(event, { ... })`.',
    from: [{ file: 'dist/host/model/call-options.d.ts', name: 'CallOptions' }],
  },
  {
    title: 'Times of a call',
    text: 'What the engine writes into `times`.',
    from: [{ file: 'dist/host/model/call-options.d.ts', name: 'CallTimes' }],
    isResult: true,
  },
  {
    title: 'Hookpoint',
    text: 'The last argument of `gate`, `transform` and `respond` in a contract.',
    from: [
      { file: 'dist/contracts/make-hookpoint.d.ts', name: 'GateOptions' },
      { file: 'dist/contracts/make-hookpoint.d.ts', name: 'ReplyOptions' },
      { file: 'dist/contracts/make-hookpoint.d.ts', name: 'TransformOptions' },
    ],
  },
  {
    title: 'Recording',
    text: '`engine.record(file, { ... })`.',
    from: [{ file: 'dist/host/recordings.d.ts', name: 'RecordOptions' }],
  },
  {
    title: 'runInline',
    text: 'Of `hookring/testing`: `runInline(plugin, { ... })`.',
    from: [{ file: 'dist/testing/inline/index.d.ts', name: 'InlineOptions' }],
  },
  {
    title: 'runInLane',
    text: 'Of `hookring/testing`: the options of a plugin, and these.',
    from: [{ file: 'dist/testing/in-lane.d.ts', name: 'LaneOptions' }],
  },
  {
    title: 'generateEvents',
    text: 'Of `hookring/testing`: `generateEvents(contract, hookpoint, { ... })`.',
    from: [{ file: 'dist/testing/generate/index.d.ts', name: 'GenerateOptions' }],
  },
  {
    title: 'replayEvents',
    text: 'Of `hookring/testing`: `replayEvents(file, { ... })`.',
    from: [{ file: 'dist/testing/replay.d.ts', name: 'ReplayOptions' }],
  },
]

const ADAPTERS = [
  {
    title: 'HTTP',
    text: '`hookMiddleware(engine, { ... })` and `hookFetch(engine, handler, { ... })` of `hookring/http`, and the Fastify plugin; see [HTTP](../http.md).',
    from: [{ file: 'dist/adapters/http/options.d.ts', name: 'HttpOptions' }],
    schema: httpOptionsSchema,
  },
  {
    title: 'HTTP, Fastify',
    text: 'Besides those of the table above: `app.register(hookring, { ... })` of `hookring/fastify`.',
    from: [{ file: 'dist/adapters/http/fastify.d.ts', name: 'FastifyHooksOptions' }],
  },
  {
    title: 'HTTP, messages of open sockets',
    text: '`messages` of the gates for WebSockets and Socket.IO.',
    from: [{ file: 'dist/adapters/http/options.d.ts', name: 'MessageOptions' }],
    schema: messageOptionsSchema,
  },
  {
    title: 'gRPC interceptor',
    text: '`hookInterceptor(engine, rules, { ... })` of `hookring/grpc`; see [gRPC](../grpc.md) for the rules.',
    from: [{ file: 'dist/adapters/grpc/rule-runner.d.ts', name: 'InterceptorOptions' }],
  },
  {
    title: 'gRPC statuses',
    text: '`rejectStatus(verdict, { ... })`.',
    from: [{ file: 'dist/adapters/grpc/status.d.ts', name: 'RejectStatusOptions' }],
  },
  {
    title: 'MQTT broker',
    text: '`attachHooks(broker, engine, { ... })` of `hookring/aedes`; see [MQTT](../mqtt.md).',
    from: [{ file: 'dist/adapters/aedes/options.d.ts', name: 'AttachOptions' }],
    schema: attachOptionsSchema,
    words: { onUndecided: 'What becomes of what nobody has decided; the next table.' },
  },
  {
    title: 'MQTT broker, undecided',
    text: '`onUndecided` of `attachHooks`: a plugin failed under a policy of `deny`, or could not be asked.',
    from: [{ file: 'dist/adapters/aedes/options.d.ts', name: 'UndecidedOptions' }],
    schema: attachOptionsSchema.shape.onUndecided,
  },
  {
    title: 'Connection server',
    text: '`createConnectionServer({ ... })` of `hookring/connection`; see [connections](../connection.md).',
    from: [{ file: 'dist/adapters/connection/server-options.d.ts', name: 'ConnectionServerOptions' }],
    numbers: NUMBERS,
  },
  {
    title: 'Connection server, listening',
    text: '`server.listen({ ... })`.',
    from: [{ file: 'dist/adapters/connection/listening.d.ts', name: 'ListenOptions' }],
  },
  {
    title: 'Connection server, TLS',
    text: '`tls` of `server.listen`. PEM texts, not file names.',
    from: [{ file: 'dist/adapters/connection/listening.d.ts', name: 'ServerTls' }],
    words: { key: "The certificate's key." },
  },
  {
    title: 'Connection client',
    text: '`connect({ ... })` of `hookring/connection`. Whole numbers are from 1 to 2,147,483,647.',
    from: [{ file: 'dist/adapters/connection/client-options.d.ts', name: 'ConnectOptions' }],
    words: {
      port: 'Of TCP. One of `port` and `path` must be given.',
      user: 'Who connects. Default: nobody, for a server without users.',
      password: 'The password of `user`.',
    },
  },
  {
    title: 'Connection client, TLS',
    text: '`tls` of `connect`. PEM texts, not file names.',
    from: [{ file: 'dist/adapters/connection/client-options.d.ts', name: 'ClientTls' }],
    words: { key: "The client certificate's key." },
  },
  {
    title: 'Connection client, request',
    text: '`client.sync(message, { ... })`.',
    from: [{ file: 'dist/adapters/connection/client.d.ts', name: 'RequestOptions' }],
  },
  {
    title: 'ExHook provider',
    text: '`startExhookProvider(engine, { ... })` of `hookring/exhook`; see [ExHook](../exhook.md).',
    from: [{ file: 'dist/adapters/exhook/options.d.ts', name: 'ExhookProviderOptions' }],
    words: {
      topics:
        'Topic filters of the messages that plugins are asked about: one list, or one for each hook (`{ "message.publish": ["up/#"] }`). Default: those of the plugins’ `match` options, else all topics.',
    },
  },
  {
    title: 'ExHook provider, TLS',
    text: '`tls` of `startExhookProvider`. PEM texts, not file names.',
    from: [{ file: 'dist/adapters/exhook/options.d.ts', name: 'ExhookTls' }],
    words: { key: "The certificate's key." },
  },
  {
    title: 'Remote ExHook provider',
    text: '`config` of a plugin with `runtime: "exhook"`. Wrong ones fail the load with [PLUGIN_CONFIG_INVALID](errors.md#plugin_config_invalid).',
    from: [{ file: 'src/contracts/remote-provider.ts', name: 'providerConfigSchema' }],
    schema: providerConfigSchema,
    words: {
      cluster: "The name of the broker's cluster, as the provider is told of it.",
      tls: 'For https, paths of PEM files: `caFile`, `certFile` and `keyFile` (together: they show the provider who calls), and `serverName`, the name in the provider’s certificate where it is not the host’s.',
    },
  },
  {
    title: 'hookring serve',
    text: 'A config file of [servers](../serve.md). Wrong ones are refused with [CONFIG_INVALID](errors.md#config_invalid).',
    from: [{ file: 'src/contracts/serve-config.ts', name: 'serveConfigSchema' }],
    schema: serveConfigSchema,
  },
  {
    title: 'hookring serve, every server',
    text: 'Of `mqtt`, `connection` and `exhook`.',
    from: [{ file: 'src/contracts/serve-config.ts', name: 'hooked' }],
    schema: serveConfigSchema.shape.mqtt,
    words: {
      plugins:
        'Functions of `hookring/hooks`, options of plugins (`./file` counts from the config file), or in JSON `{ "hook": "acl", "config": { ... } }`.',
    },
  },
  {
    title: 'hookring serve, mqtt',
    from: [{ file: 'src/contracts/serve-config.ts', name: 'mqttServer' }],
    schema: serveConfigSchema.shape.mqtt,
    words: {
      listen:
        'Addresses: `{ port, host, tls: { cert, key, ca } }` with PEM files, or `{ path }` of a unix socket. Default `[{ "port": 1883, "host": "127.0.0.1" }]`.',
    },
  },
  {
    title: 'hookring serve, connection',
    from: [{ file: 'src/contracts/serve-config.ts', name: 'connectionServer' }],
    schema: serveConfigSchema.shape.connection,
    words: { listen: 'Addresses as of `mqtt`; a unix socket takes `mode` as well, 0o600 or `"600"`.' },
  },
  {
    title: 'hookring serve, exhook',
    from: [{ file: 'src/contracts/serve-config.ts', name: 'exhookProvider' }],
    schema: serveConfigSchema.shape.exhook,
    words: { tls: 'PEM files: `cert`, `key`, and `ca` for mutual TLS.' },
  },
]

const REDIS = { file: 'src/hooks/redis/address.ts', name: 'redisAddress' }
const REDIS_WORDS = {
  username: 'User of Redis.',
  password: 'Its password. No message or log line shows it.',
  tls: '`true`, or `ca`, `cert`, `key`, `passphrase`, `servername`, `rejectUnauthorized`, `minVersion` as node:tls has them; certificates are PEM texts.',
  sentinelPassword: 'Its password.',
}

const PLUGINS = [
  {
    title: 'acl',
    text: '`acl(config, options?)` for `mqtt@1`: who may write and read which topics, by rules in order. The first rule that matches decides. `aclControl(engine)` adds and clears rules while the broker runs.',
    from: [{ file: 'src/hooks/acl.ts', name: 'aclConfig' }],
    schema: aclConfig,
    words: { rules: 'The rules, in order; the next table.' },
  },
  {
    title: 'acl, a rule',
    from: [{ file: 'src/hooks/acl.ts', name: 'aclRule' }],
    schema: aclRule,
    words: { read: 'The client may subscribe to it and be given it.', write: 'The client may publish to it.' },
  },
  {
    title: 'auth',
    text: '`auth(config, options?)` for `mqtt@1`: names and passwords. Passwords are plain, or hashed by `hashPassword()` (scrypt), and compared in constant time. `authControl(engine)` adds and removes users. Registered with `timeoutMs: 2000`.',
    from: [{ file: 'src/hooks/auth.ts', name: 'authConfig' }],
    schema: authConfig,
  },
  {
    title: 'rateLimit',
    text: '`rateLimit(config, options?)` for `mqtt@1`: messages per interval and client id, refilled by rate. Registered with `partitionBy: "client.clientId"`.',
    from: [{ file: 'src/hooks/rate-limit.ts', name: 'rateLimitConfig' }],
    schema: rateLimitConfig,
    words: { intervalMs: 'The interval, in milliseconds.' },
  },
  {
    title: 'logger',
    text: '`logger(config?, options?)` for `mqtt@1`: connections, subscriptions, messages and sessions, one line each, payloads left out. Registered with `onFailure: "allow"`.',
    from: [{ file: 'src/hooks/logger.ts', name: 'loggerConfig' }],
    schema: loggerConfig,
    words: {
      level: 'What is logged: names, or the sum of their bits (1 connection, 2 subscribe, 4 publish, 8 session).',
    },
  },
  {
    title: 'sys',
    text: '`sys(config?, options?)` for `mqtt@1`: nine retained topics under `$SYS/broker/`, from what the broker has counted. Registered with `services: ["publish", "stats"]`.',
    from: [{ file: 'src/hooks/sys.ts', name: 'sysConfig' }],
    schema: sysConfig,
    words: { intervalMs: 'How often they are published, in milliseconds.' },
  },
  {
    title: 'redis',
    text: '`redis(config?, options?)` for `mqtt@1`: retained messages in Redis or Valkey, and with a `nodeId` every message to every node. See [brokers on Redis](../cluster.md).',
    from: [REDIS, { file: 'src/hooks/redis/index.ts', name: 'redisConfig' }],
    schema: redisConfig,
    words: REDIS_WORDS,
    without: ['instance'],
  },
  {
    title: 'cluster',
    text: '`cluster(config, options?)` for `mqtt@1`: nodes that find each other’s subscribers, and sessions that move with their clients. See [brokers on Redis](../cluster.md).',
    from: [REDIS, { file: 'src/hooks/cluster/config.ts', name: 'clusterConfig' }],
    schema: clusterConfig,
    words: { ...REDIS_WORDS, heartbeatIntervalMs: 'How often a node says that it is alive, in milliseconds.' },
    without: ['instance'],
  },
  {
    title: 'payloadLimiter',
    text: '`payloadLimiter(config, options?)` for `delivery@1`: rejects messages whose payload is longer.',
    from: [{ file: 'src/hooks/payload-limiter.ts', name: 'payloadLimiterConfig' }],
    schema: payloadLimiterConfig,
  },
  {
    title: 'loginAuditor',
    text: '`loginAuditor(config?, options?)` for `delivery@1`: a line for each failed login.',
    from: [{ file: 'src/hooks/login-auditor.ts', name: 'loginAuditorConfig' }],
    schema: loginAuditorConfig,
  },
  {
    title: 'tracing',
    text: '`tracing(config?, options?)` for `delivery@1`: logs every event. Registered with `onFailure: "allow"`: a full disk should not stop the mail.',
    from: [{ file: 'src/hooks/tracing.ts', name: 'tracingConfig' }],
    schema: tracingConfig,
  },
]

export function optionsPage(codes) {
  return `# Options

All options of an engine, of a plugin, of a call, and of what tests and recordings take. The servers' own are in
[options of adapters](adapter-options.md), those of the plugins that ship in [plugins that ship](plugins.md).

What is wrong with an option is refused at once with [OPTIONS_INVALID](errors.md#options_invalid): the message has the path,
what was given, what is taken, and the nearest name of a misspelt one.

${sections(ENGINE, codes)}`
}

export function adapterOptionsPage(codes) {
  return `# Options of adapters

What each server takes that hookring puts under an engine. What is wrong with an option is refused at once with
[OPTIONS_INVALID](errors.md#options_invalid), unless a table says another code.

${sections(ADAPTERS, codes)}`
}

export function pluginsPage(codes) {
  return `# Plugins that ship

\`hookring/hooks\` has them as functions: their result goes into \`plugins\`. The second argument takes what any
[plugin](options.md#plugin) takes but \`from\` and \`config\`: priority, timeoutMs, onFailure, mode and so on. What is
wrong with a config fails the load with [PLUGIN_CONFIG_INVALID](errors.md#plugin_config_invalid).

\`noop(options?)\` fits \`delivery@1\` alone, takes no config, subscribes to everything and passes everything: what the way
through the ring costs.

${sections(PLUGINS, codes)}`
}

function sections(all, codes) {
  return `${all.map((section) => `## ${section.title}\n\n${section.text === undefined ? '' : `${section.text}\n\n`}${optionTable(section, codes)}`).join('\n\n')}\n`
}
