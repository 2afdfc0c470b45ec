/**
 * What an operator writes: engine and plugin options, their defaults and their bounds. Each default stands here, once,
 * with its reason. Validated by zod when an engine is made or a plugin is added, on the host's thread.
 */
import { z } from 'zod'
import { type ErrorCode, formatPath, HookringError, thrownText } from './errors.js'
import { BOUNDARIES, RUNTIMES } from './runtimes.js'

export const DEFAULTS = {
  /** Long for a hook that runs in microseconds, short for a client that waits. */
  timeoutMs: 100,
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

const ms = z.number().finite().positive().max(2_147_483_647)
const failureAction = z.enum(['deny', 'allow', 'raise'])

export const failurePolicySchema = z.union([
  failureAction,
  z.strictObject({
    timeout: failureAction.optional(),
    crash: failureAction.optional(),
    error: failureAction.optional(),
    overload: failureAction.optional(),
    quarantined: failureAction.optional(),
    invalid: failureAction.optional(),
  }),
])

const scalar = z.union([z.string(), z.number(), z.bigint(), z.boolean(), z.null()])

/** One field's condition: a value, any of several, a range, a prefix or suffix, or an MQTT topic filter. */
export const matchConditionSchema = z.union([
  scalar,
  z.array(scalar).min(1),
  z.strictObject({
    eq: scalar.optional(),
    not: scalar.optional(),
    in: z.array(scalar).min(1).optional(),
    gt: z.union([z.number(), z.bigint()]).optional(),
    gte: z.union([z.number(), z.bigint()]).optional(),
    lt: z.union([z.number(), z.bigint()]).optional(),
    lte: z.union([z.number(), z.bigint()]).optional(),
    prefix: z.string().optional(),
    suffix: z.string().optional(),
    mqtt: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  }),
])

/** Conditions by event field (`client.username` reaches into objects); all must hold. Or a function of the event. */
export const matchSchema = z.union([
  z.record(z.string(), matchConditionSchema),
  z.custom<(event: unknown) => boolean>(
    (value) => typeof value === 'function',
    'must be an object of conditions or a function',
  ),
])
export type MatchOption = z.infer<typeof matchSchema>
export type MatchCondition = z.infer<typeof matchConditionSchema>

/** Left out: DEFAULTS. */
export const limitsSchema = z.strictObject({
  /** Old-generation heap of a lane, MiB. */
  memoryMb: z.number().int().min(8).max(65_536).optional(),
  /** Async hooks that a lane runs at once. */
  concurrency: z.number().int().min(1).max(4096).optional(),
  /** Calls, and observations, that wait for a slot. */
  queue: z.number().int().min(0).max(1_048_576).optional(),
  /** Calls in flight per lane; rounded up to a power of two. */
  slots: z.number().int().min(1).max(MAX_SLOTS).optional(),
})

export const pluginOptionsSchema = z.strictObject({
  from: z.union([z.string().min(1), z.instanceof(URL)]),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]*$/i, 'must be letters, digits, dots, dashes')
    .max(64)
    .optional(),
  config: z.unknown().optional(),
  trust: z.enum(['trusted', 'untrusted']).default('trusted'),
  /** Left out: by the file's name (.wasm, .so), `quickjs` for untrusted JavaScript, else `module`. `exhook`: `from` is a URL. */
  runtime: z.enum(RUNTIMES).optional(),
  boundary: z.enum(BOUNDARIES).optional(),
  /** Runtime exhook: the version of the protocol that the provider speaks. Left out: the contract's; of mqtt@1, 3. */
  version: z.union([z.literal(1), z.literal(2), z.literal(3)], 'must be 1, 2 or 3').optional(),
  /** What to do where the process boundary lacks a part of its sandbox: refuse (the default), or go on without it. */
  sandbox: z.enum(['required', 'best-effort']).optional(),
  /** A subresource-integrity value that the file, or the bundle made from it, must match: `sha384-...`. */
  integrity: z
    .string()
    .regex(
      /^\s*sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2}(?:\s+sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2})*\s*$/,
      'must be a hash as of subresource integrity, like sha384-...',
    )
    .optional(),
  /**
   * Folders whose JavaScript, TypeScript and JSON an untrusted plugin may import besides its own: paths from the working
   * directory, such as the packages of a monorepo. Its own are those below its nearest package.json, else below its file, and
   * the packages that Node.js finds for it.
   */
  sourceRoots: z
    .array(z.union([z.string().min(1), z.instanceof(URL)]))
    .max(64)
    .optional(),
  /** What the plugin finds in process.env: names from the server's environment, or values. Nothing else of it is there. */
  env: z.union([z.array(z.string().min(1)), z.record(z.string().min(1), z.string())]).optional(),
  /** Host services of the contract that the plugin may use; none by default. */
  services: z.array(z.string().min(1).max(64)).max(64).optional(),
  bulkhead: z.string().min(1).max(64).optional(),
  priority: z.number().int().min(-1_000_000).max(1_000_000).default(0),
  timeoutMs: ms.optional(),
  onFailure: failurePolicySchema.optional(),
  mode: z.enum(['enforce', 'shadow']).default('enforce'),
  sample: z.number().min(0).max(1).default(1),
  match: matchSchema.optional(),
  workers: z.number().int().min(1).max(256).optional(),
  partitionBy: z.string().min(1).optional(),
  limits: limitsSchema.optional(),
})

/** What an operator says of one plugin. */
export type PluginOptions = z.input<typeof pluginOptionsSchema>
export type ResolvedPluginOptions = z.output<typeof pluginOptionsSchema>

export const quarantineSchema = z.union([
  z.literal(false),
  z.strictObject({
    windowMs: ms.default(DEFAULTS.quarantineWindowMs),
    minFailures: z.number().int().min(1).default(DEFAULTS.quarantineMinFailures),
    ratio: z.number().gt(0).max(1).default(DEFAULTS.quarantineRatio),
    cooldownMs: ms.default(DEFAULTS.quarantineCooldownMs),
  }),
])

const logFunction = z.custom<(...args: unknown[]) => void>((value) => typeof value === 'function', 'must be a function')

/** A pino-shaped logger: each method takes fields, then a message. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const isContract = (value: unknown): boolean => {
  const { id, hookpoints } = (value ?? {}) as { id?: unknown; hookpoints?: unknown }
  if (typeof id !== 'string' || typeof hookpoints !== 'object' || hookpoints === null) return false
  const points = Object.values(hookpoints)
  return points.length > 0 && points.every((point) => typeof point?.plan?.fixedBytes === 'number')
}

const isLogger = (value: unknown): value is Logger =>
  typeof value === 'object' &&
  value !== null &&
  ['debug', 'info', 'warn', 'error'].every(
    (level) => logFunction.safeParse((value as Record<string, unknown>)[level]).success,
  )

export const engineOptionsSchema = z.strictObject({
  contract: z.custom<object>(isContract, 'must be made by defineContract'),
  plugins: z.array(z.unknown()).default([]),
  /** What the server does for plugins that are granted it: functions, by the names of the contract's services. */
  services: z
    .record(
      z.string(),
      z.custom<object>((value) => typeof value === 'function', 'must be a function'),
    )
    .optional(),
  timeoutMs: ms.default(DEFAULTS.timeoutMs),
  onFailure: failurePolicySchema.optional(),
  hangMs: z.number().finite().min(0).default(DEFAULTS.hangMs),
  terminateGraceMs: ms.default(DEFAULTS.terminateGraceMs),
  setupTimeoutMs: ms.default(DEFAULTS.setupTimeoutMs),
  shutdownTimeoutMs: ms.default(DEFAULTS.shutdownTimeoutMs),
  closeTimeoutMs: ms.default(DEFAULTS.closeTimeoutMs),
  maxEventBytes: z
    .number()
    .int()
    .min(64)
    .max(64 * 1024 * 1024)
    .default(DEFAULTS.maxEventBytes),
  /** Lanes of the bulkhead that trusted plugins share. */
  workers: z.number().int().min(1).max(256).default(DEFAULTS.workers),
  spares: z.number().int().min(0).max(16).default(DEFAULTS.spares),
  wait: z.enum(['adaptive', 'park', 'spin']).default('adaptive'),
  spinUs: z.number().min(0).max(1_000_000).default(DEFAULTS.adaptiveSpinUs),
  quarantine: quarantineSchema.default({
    windowMs: DEFAULTS.quarantineWindowMs,
    minFailures: DEFAULTS.quarantineMinFailures,
    ratio: DEFAULTS.quarantineRatio,
    cooldownMs: DEFAULTS.quarantineCooldownMs,
  }),
  limits: limitsSchema.optional(),
  logger: z.custom<Logger>(isLogger, 'must have debug, info, warn and error').optional(),
  /** A prom-client registry to put the metrics in; without one the engine makes its own. */
  registry: z
    .custom<object>(
      (value) => typeof value === 'object' && value !== null && 'registerMetric' in value,
      'must be a prom-client Registry',
    )
    .optional(),
  metricsPrefix: z
    .string()
    .regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/)
    .default('hookring_'),
})

export type ResolvedEngineOptions = z.output<typeof engineOptionsSchema>

/**
 * Parses options, or throws a HookringError that names the path of the first thing wrong.
 *
 * @throws HookringError `code`
 */
export function parseOptions<T>(
  schema: z.ZodType<T>,
  value: unknown,
  what: string,
  code: ErrorCode = 'OPTIONS_INVALID',
): T {
  try {
    const result = schema.safeParse(value)
    if (result.success) return result.data
    throw optionsRefusal(result.error, what, code)
  } catch (cause) {
    if (cause instanceof HookringError) throw cause
    // A getter or a proxy of the caller's; zod looks at values again to say what is wrong with them.
    throw new HookringError(code, `${what} could not be read: ${thrownText(cause)}`, { cause })
  }
}

function optionsRefusal(error: z.ZodError, what: string, code: ErrorCode): HookringError {
  const issue = error.issues[0]
  const path = (issue?.path ?? []).map((part) => (typeof part === 'symbol' ? String(part) : part))
  const where = path.length === 0 ? what : `${what}.${formatPath(path)}`
  const more = error.issues.length > 1 ? ` (and ${error.issues.length - 1} more)` : ''
  return new HookringError(code, `${where}: ${issue?.message ?? 'invalid'}${more}`, { path, cause: error })
}
