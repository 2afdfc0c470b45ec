/**
 * The schemas of what operators write (options.ts): an engine's options when it is made, a plugin's when it is added. Host's
 * thread only.
 */
import { z } from 'zod/v4'
import {
  DEFAULTS,
  type EngineSettings,
  type LimitOptions,
  type Logger,
  MAX_SLOTS,
  type MatchCondition,
  type MatchOption,
  type PluginOptions,
  type QuarantineOptions,
} from './options.js'
import type { FailurePolicy } from './policy.js'
import { BOUNDARIES, RUNTIMES } from './runtimes.js'

/** Older versions of zod have no name for the type that newer ones give it. */
export const url: z.ZodCustom<URL, URL> = z.instanceof(URL)

const ms = z.number().finite().positive().max(2_147_483_647)
const failureAction = z.enum(['deny', 'allow', 'raise'])

const failurePolicySchema = z.union([
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

const operators = {
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
}

/** Without an operator a condition would hold always. */
export const matchConditionSchema = z.union([
  scalar,
  z.array(scalar).min(1),
  z.strictObject(operators).refine(
    (condition) => Object.values(condition).some((operand) => operand !== undefined),
    `must be an object with ${Object.keys(operators)
      .join(', ')
      .replace(/, (\w+)$/, ' or $1')}`,
  ),
])

export const matchSchema = z.union([
  z.record(z.string(), matchConditionSchema),
  z.custom<(event: unknown) => boolean>(
    (value) => typeof value === 'function',
    'must be an object of conditions or a function',
  ),
])
/** Of `engine.watch()`. */
export const watchOptionsSchema = z.strictObject({
  debounceMs: z.number().min(0).max(60_000).default(100),
})

/** Left out: DEFAULTS. */
export const limitsSchema = z.strictObject({
  memoryMb: z.number().int().min(8).max(65_536).optional(),
  concurrency: z.number().int().min(1).max(4096).optional(),
  queue: z.number().int().min(0).max(1_048_576).optional(),
  slots: z.number().int().min(1).max(MAX_SLOTS).optional(),
})

export const pluginOptionsSchema = z.strictObject({
  from: z.union([z.string().min(1), url]),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]*$/i, 'must be letters, digits, dots, dashes')
    .max(64)
    .optional(),
  config: z.unknown().optional(),
  trust: z.enum(['trusted', 'untrusted']).default('trusted'),
  runtime: z.enum(RUNTIMES).optional(),
  boundary: z.enum(BOUNDARIES).optional(),
  version: z.union([z.literal(1), z.literal(2), z.literal(3)], 'must be 1, 2 or 3').optional(),
  sandbox: z.enum(['required', 'best-effort']).optional(),
  integrity: z
    .string()
    .regex(
      /^\s*sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2}(?:\s+sha(?:256|384|512)-[A-Za-z0-9+/]+={0,2})*\s*$/,
      'must be a hash as of subresource integrity, like sha384-...',
    )
    .optional(),
  sourceRoots: z
    .array(z.union([z.string().min(1), url]))
    .max(64)
    .optional(),
  env: z.union([z.array(z.string().min(1)), z.record(z.string().min(1), z.string())]).optional(),
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
  services: z
    .record(
      z.string(),
      z.custom<object>((value) => typeof value === 'function', 'must be a function'),
    )
    .optional(),
  /** Left out: the default depends on the plugin's runtime. */
  timeoutMs: ms.optional(),
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
  maxServiceBytes: z
    .number()
    .int()
    .min(64)
    .max(64 * 1024 * 1024)
    .default(DEFAULTS.maxServiceBytes),
  workers: z.number().int().min(1).max(256).default(DEFAULTS.workers),
  spares: z.number().int().min(0).max(16).default(DEFAULTS.spares),
  wait: z.enum(['adaptive', 'park', 'spin']).default('adaptive'),
  execArgv: z.array(z.string().max(4096)).max(64).optional(),
  root: z.union([z.string().min(1), url]).optional(),
  workerUrl: z.union([z.string().min(1), url]).optional(),
  spinUs: z.number().min(0).max(1_000_000).default(DEFAULTS.adaptiveSpinUs),
  quarantine: quarantineSchema.default({
    windowMs: DEFAULTS.quarantineWindowMs,
    minFailures: DEFAULTS.quarantineMinFailures,
    ratio: DEFAULTS.quarantineRatio,
    cooldownMs: DEFAULTS.quarantineCooldownMs,
  }),
  limits: limitsSchema.optional(),
  logger: z.custom<Logger>(isLogger, 'must have debug, info, warn and error').optional(),
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

/** Fails to compile where a schema takes something else than its type says. */
type Takes<Schema extends z.ZodType, Type> = [z.input<Schema>, Type] extends [Type, z.input<Schema>] ? true : never
type Settings = Pick<z.input<typeof engineOptionsSchema>, keyof EngineSettings>

const _held: [
  Takes<typeof pluginOptionsSchema, PluginOptions>,
  Takes<typeof limitsSchema, LimitOptions>,
  Takes<typeof matchSchema, MatchOption>,
  Takes<typeof matchConditionSchema, MatchCondition>,
  Takes<typeof failurePolicySchema, FailurePolicy>,
  Takes<typeof quarantineSchema, false | QuarantineOptions>,
  [Settings, EngineSettings] extends [EngineSettings, Settings] ? true : never,
] = [true, true, true, true, true, true, true]
void _held
