/**
 * What an operator writes: the options of engines and plugins, and their defaults. Each default stands here, once, with its
 * reason. option-schemas.ts holds what is given to these types; parse-options.ts says what is wrong with it.
 */
import type { FailurePolicy } from './policy.js'
import type { Boundary, RuntimeName } from './runtimes.js'

export const DEFAULTS = {
  /** Long for a hook that runs in microseconds, short for a client that waits. */
  timeoutMs: 100,
  /** Of a remote provider: EMQX's `request_timeout`. */
  providerTimeoutMs: 5_000,
  /** A lane is given this long past a deadline to come back by itself: replacing it costs every plugin in it a setup. */
  hangMs: 100,
  /** terminate() takes 1 to 6 ms where it works at all (facts measured on Node 20 to 24). */
  terminateGraceMs: 1_000,
  /** Import and setup together: room for a plugin that opens a connection, not for one that waits for ever. */
  setupTimeoutMs: 10_000,
  /** onShutdown and destroy each. */
  shutdownTimeoutMs: 2_000,
  /** close() as a whole gives up draining after this long and names what is left. */
  closeTimeoutMs: 10_000,
  maxEventBytes: 1024 * 1024,
  /** Of a host service's input: a client's message and what a plugin says of it, not a file. */
  maxServiceBytes: 256 * 1024,
  /** Room for a replacement or an answer on top of the event's own size. */
  maxReplyBytes: 4096,
  /** Slots per lane: enough to keep a lane busy while the host's loop takes a turn of a few milliseconds. */
  slots: 1024,
  /** Calls and observations that wait for a slot, per bulkhead. */
  maxQueue: 4096,
  /** Async hooks that one lane runs at once. */
  concurrency: 64,
  /** Old-generation heap of one lane, MiB. Best effort, see SECURITY.md. */
  memoryMb: 256,
  /** What a runtime with a heap of its own (quickjs, wasm) gives to one plugin, MiB. */
  guestMemoryMb: 64,
  workers: 1,
  /** How long a side looks again before it parks, at most ('adaptive'). A halted CPU takes about 40 µs to come back. */
  adaptiveSpinUs: 50,
  quarantineWindowMs: 10_000,
  quarantineMinFailures: 20,
  quarantineRatio: 0.5,
  quarantineCooldownMs: 5_000,
  spares: 1,
} as const

/** The highest slot count: queue entries keep the slot index in 16 bits. */
export const MAX_SLOTS = 65_536 / 2
/** Bits of a hop's plugin mask. */
export const MAX_PLUGINS_PER_BULKHEAD = 31

/** A value that a field of an event can be compared with. */
type Scalar = string | number | bigint | boolean | null

/** What a field must be like. Of several conditions in one object all must hold. */
export interface MatchOperators {
  /** Equal to this. */
  eq?: Scalar | undefined
  /** Not equal to this. */
  not?: Scalar | undefined
  /** Equal to one of these. */
  in?: Scalar[] | undefined
  /** Greater than this; numbers, 64-bit integers, and dates as milliseconds since the Unix epoch. */
  gt?: number | bigint | undefined
  /** Greater than this or equal to it. */
  gte?: number | bigint | undefined
  /** Less than this. */
  lt?: number | bigint | undefined
  /** Less than this or equal to it. */
  lte?: number | bigint | undefined
  /** A string that begins with this. */
  prefix?: string | undefined
  /** A string that ends with this. */
  suffix?: string | undefined
  /** A topic that matches this MQTT topic filter, or one of these: `sensors/+/alarm`, `shop/#`. */
  mqtt?: string | string[] | undefined
}

/** One field's condition: a value, several of which one must be equal, or operators. */
export type MatchCondition = Scalar | Scalar[] | MatchOperators

/**
 * Which events a plugin is asked about: conditions by event field, all of which must hold (`client.username` reaches into
 * objects), or a function of the event that answers at once. Decided on the server's thread, before an event is encoded.
 */
export type MatchOption = Record<string, MatchCondition> | ((event: unknown) => boolean)

/** Bounds of a bulkhead's lanes. */
export interface LimitOptions {
  /** Old-generation heap of a lane's thread, in MiB (8 to 65,536). Default 256; behind a process boundary, and for runtimes with a heap of their own, 64 for each plugin. */
  memoryMb?: number | undefined
  /** Async hooks that one lane runs at once (1 to 4,096). Default 64. */
  concurrency?: number | undefined
  /** Calls, and as many observations, that wait for a slot (0 to 1,048,576). More fail as `overload`. Default 4,096. */
  queue?: number | undefined
  /** Calls in flight in one lane (1 to 32,768); rounded up to a power of two. Default 1,024. */
  slots?: number | undefined
}

/** What an operator says of one plugin. */
export interface PluginOptions {
  /**
   * Where the plugin is: a path (`./plugins/greet.js`, relative to the engine's `root`), a package's name, or a URL. Each
   * lane loads it there, so it is not the plugin itself. Of runtime `exhook` the provider's address, `http://host:9000`.
   */
  from: string | URL
  /** The plugin's name here: in verdicts, metrics, log lines. Letters, digits, `.`, `_`, `-`; at most 64. Default: the plugin's own. */
  name?: string | undefined
  /** Handed to the plugin's setup, which checks it by its own schema. Plain data: it is cloned to other threads. */
  config?: unknown
  /** `untrusted`: the plugin must run in a runtime or behind a boundary that confines it. Default `trusted`. */
  trust?: 'trusted' | 'untrusted' | undefined
  /**
   * How the code runs. Default: by the file's name (`wasm` for .wasm, `native` for .so), `quickjs` for untrusted JavaScript,
   * else `module`. `exhook`: a provider elsewhere.
   */
  runtime?: RuntimeName | undefined
  /** `process`: in a child process behind the lane, in a sandbox. Default `thread`. */
  boundary?: Boundary | undefined
  /** Runtime `exhook`: the version of the protocol that the provider speaks. Default: the contract's; of mqtt@1, 3. */
  version?: 1 | 2 | 3 | undefined
  /** Boundary `process`: whether the plugin is refused where a part of the sandbox is missing. Default: `required` for untrusted plugins. */
  sandbox?: 'required' | 'best-effort' | undefined
  /** A subresource-integrity value that the file, or the bundle made from it, must match: `sha384-...`. */
  integrity?: string | undefined
  /**
   * Folders whose JavaScript, TypeScript and JSON an untrusted plugin may import besides its own: paths from the engine's
   * `root`, such as the packages of a monorepo. Its own are those below its nearest package.json, else below its file,
   * and the packages that Node.js finds for it.
   */
  sourceRoots?: (string | URL)[] | undefined
  /** What the plugin finds in process.env: names from the server's environment, or values. Default: nothing. */
  env?: string[] | Record<string, string> | undefined
  /** Host services of the contract that the plugin may use, by name. Default: none. */
  services?: string[] | undefined
  /**
   * The bulkhead that the plugin runs in, by a name of your own (at most 64 characters): plugins of one bulkhead share its
   * lanes. Default: trusted plugins without walls or lanes of their own share one, every other plugin has its own.
   */
  bulkhead?: string | undefined
  /** Plugins with a higher priority run first; those of equal priority in the order in which they were added. Default 0. */
  priority?: number | undefined
  /** Milliseconds for one run of a hook. Default: the engine's `timeoutMs`. */
  timeoutMs?: number | undefined
  /** What a failure of the plugin becomes. Default: the engine's `onFailure`. */
  onFailure?: FailurePolicy | undefined
  /** `shadow`: the plugin is asked and measured, never obeyed. Default `enforce`. */
  mode?: 'enforce' | 'shadow' | undefined
  /** The share of calls that the plugin is asked about, 0 to 1. Default 1. */
  sample?: number | undefined
  /** The events that the plugin is asked about. Default: all. */
  match?: MatchOption | undefined
  /** Lanes of its bulkhead (1 to 256). Default 1; of the bulkhead that trusted plugins share, the engine's `workers`. */
  workers?: number | undefined
  /** An event field (`clientId`, `client.id`): events in which it is equal go to one lane, in their order. */
  partitionBy?: string | undefined
  /** Bounds of its bulkhead's lanes. */
  limits?: LimitOptions | undefined
}

/** When a plugin that fails is no longer asked. */
export interface QuarantineOptions {
  /** Failures are counted over this many milliseconds. Default 10,000. */
  windowMs?: number | undefined
  /** A plugin is quarantined when it has failed so often in the window, and `ratio` holds. Default 20. */
  minFailures?: number | undefined
  /** The share of its calls in the window that must have failed (above 0, up to 1). Default 0.5. */
  ratio?: number | undefined
  /** After so many milliseconds one call is let through as a probe. Default 5,000. */
  cooldownMs?: number | undefined
}

/** A pino-shaped logger: each method takes fields, then a message. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** The options of an engine that have nothing to do with its contract's types. Times are in milliseconds. */
export interface EngineSettings {
  /** Time for one run of a plugin's hook, unless the plugin has its own. Default 100; of remote providers (`exhook`) 5,000. */
  timeoutMs?: number | undefined
  /** What failures become, for plugins without a policy of their own. Default: gates and transforms deny, responds raise. */
  onFailure?: FailurePolicy | undefined
  /** A hook that runs on for this long past its time costs its lane. Default 100. */
  hangMs?: number | undefined
  /** A thread that was told to end and has not exited after this long counts as a zombie. Default 1,000. */
  terminateGraceMs?: number | undefined
  /** For a plugin's import and setup together. Default 10,000. */
  setupTimeoutMs?: number | undefined
  /** For a plugin's onShutdown, and for its destroy. Default 2,000. */
  shutdownTimeoutMs?: number | undefined
  /** How long close() waits for calls under way. Default 10,000. */
  closeTimeoutMs?: number | undefined
  /** The largest event, in bytes when encoded (64 to 64 MiB). Larger ones fail with EVENT_TOO_LARGE. Default 1 MiB. */
  maxEventBytes?: number | undefined
  /**
   * The largest input that a plugin may pass to a host service, in bytes when serialised by V8 (64 to 64 MiB). With a larger
   * one the plugin's call rejects with SERVICE_INPUT_INVALID, and the service is not called. Default 262,144 (256 KiB).
   */
  maxServiceBytes?: number | undefined
  /** Lanes of the bulkhead that trusted plugins share (1 to 256). Default 1. */
  workers?: number | undefined
  /**
   * Flags of Node.js for the threads of trusted plugins. Default: those of the server that say where modules are found and how
   * errors are shown (`--import`, `--require`, `--conditions`, `--enable-source-maps`, ...), NODE_OPTIONS included; `[]`: none.
   */
  execArgv?: string[] | undefined
  /**
   * The folder from which relative paths and packages in `from` are found, or a file in it: `import.meta.url` takes them from
   * the server's own file. Default: the working directory.
   */
  root?: string | URL | undefined
  /**
   * Where the package's `dist/worker/entry.js` is, for a server that has hookring bundled into its own file: a URL, or a path
   * from the working directory. The rest of the package is found from there, its dependencies too. It holds for all engines of
   * the process. Default: beside this package's own modules.
   */
  workerUrl?: string | URL | undefined
  /** Booted threads kept ready, to take over from a lane that is lost (0 to 16). Default 1. */
  spares?: number | undefined
  /** How lanes and server wait for each other: `adaptive` looks again for up to `spinUs` while that pays, `spin` always, `park` never. Default `adaptive`. */
  wait?: 'adaptive' | 'park' | 'spin' | undefined
  /** The longest look, in microseconds (up to 1,000,000). Default 50. */
  spinUs?: number | undefined
  /** When a failing plugin is no longer asked; false: never by itself. */
  quarantine?: false | QuarantineOptions | undefined
  /** Bounds of bulkheads whose plugins name none. */
  limits?: LimitOptions | undefined
  /** Where the engine's and the plugins' lines go. Default: standard error, from `info`. */
  logger?: Logger | undefined
  /** A prom-client registry for the metrics. Default: one of the engine's own, `engine.registry`. */
  registry?: object | undefined
  /** What the names of metrics begin with. Default `hookring_`. */
  metricsPrefix?: string | undefined
}
