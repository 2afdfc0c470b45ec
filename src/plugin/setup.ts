/**
 * From what a plugin's module exports to hooks that can be called: its definition is checked, its config parsed, its
 * setup run. For lanes, and for tests that run a plugin without one; in the thread that will call the hooks. What goes
 * wrong is a coded error that names the plugin.
 */
import { PLUGIN_BRAND } from '../contracts/brands.js'
import { formatPath, HookringError } from '../contracts/errors.js'
import { RESERVED_HOOK_NAMES } from '../contracts/reserved-names.js'
import { refuseZod3 } from '../contracts/schema.js'
import type { Plugin, PluginLogger } from './index.js'

/** By the service's name. */
export type PluginServices = Readonly<Record<string, (input: unknown) => Promise<unknown>>>

export const NO_SERVICES: PluginServices = Object.freeze({})

export type HookFunction = (event: unknown, ctx: unknown) => unknown

export interface SetupOptions {
  /** The name that the plugin goes by. */
  readonly name: string
  /** The operator's, not yet parsed. */
  readonly config: unknown
  readonly log: PluginLogger
  /** What it was granted; left out: nothing. */
  readonly services?: PluginServices | undefined
  /** What the plugin must be written for. */
  readonly contract: { readonly name: string; readonly version: number }
  readonly hookpoints: readonly { readonly name: string }[]
}

/** A plugin that has been set up. */
export interface PluginInstance {
  readonly name: string
  readonly config: unknown
  readonly log: PluginLogger
  /** Left out: none. */
  readonly services?: PluginServices | undefined
  /** By the index of the hookpoint. */
  readonly hooks: (HookFunction | undefined)[]
  readonly onShutdown: (() => unknown) | undefined
  readonly destroy: (() => unknown) | undefined
}

/** @throws HookringError PLUGIN_NO_EXPORT */
export function definitionIn(exported: unknown, name: string): Plugin {
  if (typeof exported === 'object' && exported !== null && (exported as Plugin)[PLUGIN_BRAND] === 1) {
    return exported as Plugin
  }
  const found = exported === undefined ? 'it has no default export' : `its default export is ${typeof exported}`
  throw new HookringError('PLUGIN_NO_EXPORT', `plugin ${name} must export default definePlugin(...), but ${found}`)
}

/** The name that a plugin gave itself. @throws HookringError PLUGIN_NO_EXPORT */
export function ownNameOf(definition: Plugin, fallback: string): string {
  const { name } = definition
  if (typeof name === 'string' && /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name)) return name
  throw new HookringError(
    'PLUGIN_NO_EXPORT',
    `plugin ${fallback}: its name must be up to 64 letters, digits, dots and dashes, got ${JSON.stringify(name)}`,
  )
}

/** @throws HookringError PLUGIN_CONTRACT_MISMATCH, PLUGIN_CONFIG_INVALID, PLUGIN_SETUP_FAILED, HOOKPOINT_UNKNOWN, ZOD_TOO_OLD */
export async function setUpPlugin(definition: Plugin, options: SetupOptions): Promise<PluginInstance> {
  const { name, log, hookpoints, services = NO_SERVICES } = options
  checkContract(definition, options)
  const config = parseConfig(definition, options)
  const hooks = await runSetup(definition, { plugin: name, config, log, services })
  const destroy = lifecycle(hooks, 'destroy', name)
  try {
    const byIndex = hooksByIndex(hooks, hookpoints, name)
    return { name, config, log, services, hooks: byIndex, onShutdown: lifecycle(hooks, 'onShutdown', name), destroy }
  } catch (error) {
    // Setup has succeeded: what it opened is closed, though nothing of it will be called.
    await Promise.resolve()
      .then(destroy)
      .catch(() => {})
    throw error
  }
}

function checkContract({ contract: written }: Plugin, { name, contract }: SetupOptions): void {
  if (written.name === contract.name && written.version === contract.version) return
  throw new HookringError(
    'PLUGIN_CONTRACT_MISMATCH',
    `plugin ${name} is written for ${written.name}@${written.version}, the engine asks ${contract.name}@${contract.version}`,
  )
}

function parseConfig(definition: Plugin, { name, config }: SetupOptions): unknown {
  const schema = definition.config as { safeParse?: (value: unknown) => ParseResult } | undefined
  if (schema === undefined) {
    if (config === undefined) return undefined
    throw new HookringError('PLUGIN_CONFIG_INVALID', `plugin ${name} takes no config`)
  }
  refuseZod3(schema, `plugin ${name}: its config schema`)
  if (typeof schema.safeParse !== 'function') {
    throw new HookringError('PLUGIN_CONFIG_INVALID', `plugin ${name}: its config schema is not a zod schema`)
  }
  const parsed = schema.safeParse(config)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const path = ['config', ...(issue?.path ?? [])]
  throw new HookringError(
    'PLUGIN_CONFIG_INVALID',
    `plugin ${name}: ${formatPath(path)}: ${issue?.message ?? 'invalid'}`,
    { path },
  )
}

type ParseResult =
  | { success: true; data: unknown }
  | { success: false; error: { issues: { message: string; path: (string | number)[] }[] } }

async function runSetup(
  definition: Plugin,
  context: { plugin: string; config: unknown; log: PluginLogger; services: PluginServices },
): Promise<object> {
  let hooks: unknown
  try {
    hooks = await definition.setup(context)
  } catch (error) {
    // What it has a code for, it says itself.
    if (error instanceof HookringError) throw error
    const message = `plugin ${context.plugin}: setup threw: ${describe(error)}`
    throw new HookringError('PLUGIN_SETUP_FAILED', message, { cause: error })
  }
  if (typeof hooks === 'object' && hooks !== null) return hooks
  throw new HookringError(
    'PLUGIN_SETUP_FAILED',
    `plugin ${context.plugin}: setup must return an object of hooks, got ${typeof hooks}`,
  )
}

function hooksByIndex(hooks: object, points: SetupOptions['hookpoints'], name: string): PluginInstance['hooks'] {
  const byIndex: (HookFunction | undefined)[] = points.map(() => undefined)
  for (const [key, hook] of Object.entries(hooks)) {
    if (hook === undefined || RESERVED_HOOK_NAMES.has(key)) continue
    const index = points.findIndex((point) => point.name === key)
    if (index === -1) {
      const known = points.map((point) => point.name).join(', ')
      throw new HookringError(
        'HOOKPOINT_UNKNOWN',
        `plugin ${name} hooks ${key}, which the contract does not have; it has ${known}`,
      )
    }
    if (typeof hook !== 'function') throw notFunction(name, key, hook)
    // Bound now: what the plugin makes of Function.prototype later does not keep its own hooks from being called.
    byIndex[index] = (hook as HookFunction).bind(hooks)
  }
  return byIndex
}

function lifecycle(hooks: object, key: 'onShutdown' | 'destroy', name: string): (() => unknown) | undefined {
  const hook = (hooks as Record<string, unknown>)[key]
  if (hook === undefined) return undefined
  if (typeof hook === 'function') return hook.bind(hooks)
  throw notFunction(name, key, hook)
}

function notFunction(name: string, key: string, hook: unknown): HookringError {
  return new HookringError('PLUGIN_SETUP_FAILED', `plugin ${name}: ${key} must be a function, got ${typeof hook}`)
}

/** What was thrown, in a line. */
export function describe(error: unknown): string {
  try {
    if (error instanceof HookringError) return error.message
    if (error instanceof Error) return `${error.name}: ${error.message}`
    return String(error)
  } catch {
    return 'an error that cannot be described'
  }
}
