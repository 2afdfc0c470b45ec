/**
 * Loads a lane's plugins: import, check, parse config, set up, one after the other. What goes wrong is a coded value that
 * names the plugin. The lane's thread only.
 */
import type { HookpointSpec, LaneSpec, LoadResult, Manifest, PluginSpec } from '../contracts/control.js'
import { PLUGIN_BRAND } from '../contracts/brands.js'
import { RESERVED_HOOK_NAMES } from '../contracts/contract.js'
import { type ErrorCode, formatPath, HookringError } from '../contracts/errors.js'
import type { Plugin, PluginLogger } from '../plugin/index.js'
import { nameResident, runAs } from './attribution.js'

export type HookFunction = (event: unknown, ctx: unknown) => unknown

/** A plugin ready to be called. */
export interface LoadedPlugin {
  readonly name: string
  readonly index: number
  readonly timeoutMs: number
  readonly config: unknown
  readonly log: PluginLogger
  /** By the index of the hookpoint in the lane's spec. */
  readonly hooks: (HookFunction | undefined)[]
  readonly onShutdown: (() => unknown) | undefined
  readonly destroy: (() => unknown) | undefined
}

export interface Loading {
  readonly plugins: readonly LoadedPlugin[]
  readonly result: LoadResult
}

/** @param announce told which plugin's code is about to run (-1: none), so that a stuck one can be named. */
export async function loadPlugins(
  spec: LaneSpec,
  logger: (plugin: string) => PluginLogger,
  announce: (index: number) => void,
): Promise<Loading> {
  const plugins: LoadedPlugin[] = []
  const manifests: Manifest[] = []
  for (const [index, plugin] of spec.plugins.entries()) {
    announce(index)
    try {
      const { loaded, manifest } = await runAs(plugin.name, () => loadPlugin(spec, plugin, index, logger))
      plugins.push(loaded)
      manifests.push(manifest)
    } catch (error) {
      return { plugins, result: refusal(plugin, error) }
    } finally {
      announce(-1)
    }
  }
  return { plugins, result: { ok: true, manifests } }
}

async function loadPlugin(spec: LaneSpec, found: PluginSpec, index: number, logger: (plugin: string) => PluginLogger) {
  const definition = definitionIn(await importModule(found), found)
  const plugin = { ...found, name: found.isNamed ? found.name : nameOf(definition, found) }
  nameResident(plugin)
  const log = logger(plugin.name)
  const { contract } = definition
  if (contract.name !== spec.contract.name || contract.version !== spec.contract.version) {
    throw new HookringError(
      'PLUGIN_CONTRACT_MISMATCH',
      `plugin ${plugin.name} is written for ${contract.name}@${contract.version}, the engine asks ${spec.contract.name}@${spec.contract.version}`,
    )
  }
  const config = parseConfig(definition, plugin)
  const hooks = await runSetup(definition, plugin, config, log)
  const byIndex = hooksByIndex(hooks, spec.hookpoints, plugin)
  const loaded: LoadedPlugin = {
    name: plugin.name,
    index,
    timeoutMs: plugin.timeoutMs,
    config,
    log,
    hooks: byIndex,
    onShutdown: lifecycle(hooks, 'onShutdown', plugin),
    destroy: lifecycle(hooks, 'destroy', plugin),
  }
  const manifest: Manifest = {
    name: plugin.name,
    contract: { name: contract.name, version: contract.version },
    hooks: spec.hookpoints.filter((_, at) => byIndex[at] !== undefined).map((point) => point.name),
  }
  return { loaded, manifest }
}

async function importModule(plugin: PluginSpec): Promise<unknown> {
  try {
    return await import(plugin.url)
  } catch (error) {
    const { code, url } = error as { code?: string; url?: string }
    if ((code === 'ERR_MODULE_NOT_FOUND' || code === 'ENOENT') && (url === undefined || url === plugin.url)) {
      if (String((error as Error).message).includes(new URL(plugin.url).pathname)) {
        throw new HookringError('PLUGIN_NOT_FOUND', `plugin ${plugin.name}: there is no ${plugin.url}`, { cause: error })
      }
    }
    if (error instanceof HookringError) throw error
    const what = error instanceof SyntaxError ? 'does not parse' : 'threw while it was imported'
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${plugin.name} ${what}: ${describe(error)}`, { cause: error })
  }
}

function definitionIn(module: unknown, plugin: PluginSpec): Plugin {
  const exported = (module as { default?: unknown }).default
  if (typeof exported === 'object' && exported !== null && (exported as Plugin)[PLUGIN_BRAND] === 1) {
    return exported as Plugin
  }
  const found = exported === undefined ? 'it has no default export' : `its default export is ${typeof exported}`
  throw new HookringError(
    'PLUGIN_NO_EXPORT',
    `plugin ${plugin.name} must export default definePlugin(...), but ${found}`,
  )
}

function nameOf(definition: Plugin, plugin: PluginSpec): string {
  const { name } = definition
  if (typeof name === 'string' && /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name)) return name
  throw new HookringError(
    'PLUGIN_NO_EXPORT',
    `plugin ${plugin.name}: its name must be up to 64 letters, digits, dots and dashes, got ${JSON.stringify(name)}`,
  )
}

function parseConfig(definition: Plugin, plugin: PluginSpec): unknown {
  const schema = definition.config as { safeParse?: (value: unknown) => ParseResult } | undefined
  if (schema === undefined) {
    if (plugin.config === undefined) return undefined
    throw new HookringError('PLUGIN_CONFIG_INVALID', `plugin ${plugin.name} takes no config`)
  }
  if (typeof schema.safeParse !== 'function') {
    throw new HookringError('PLUGIN_CONFIG_INVALID', `plugin ${plugin.name}: its config schema is not a zod schema`)
  }
  const parsed = schema.safeParse(plugin.config)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const path = ['config', ...(issue?.path ?? [])]
  throw new HookringError(
    'PLUGIN_CONFIG_INVALID',
    `plugin ${plugin.name}: ${formatPath(path)}: ${issue?.message ?? 'invalid'}`,
    { path },
  )
}

type ParseResult =
  | { success: true; data: unknown }
  | { success: false; error: { issues: { message: string; path: (string | number)[] }[] } }

async function runSetup(definition: Plugin, plugin: PluginSpec, config: unknown, log: PluginLogger): Promise<object> {
  let hooks: unknown
  try {
    hooks = await definition.setup({ plugin: plugin.name, config, log })
  } catch (error) {
    throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${plugin.name}: setup threw: ${describe(error)}`, { cause: error })
  }
  if (typeof hooks === 'object' && hooks !== null) return hooks
  throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${plugin.name}: setup must return an object of hooks, got ${typeof hooks}`)
}

function hooksByIndex(hooks: object, points: readonly HookpointSpec[], plugin: PluginSpec): (HookFunction | undefined)[] {
  const byIndex: (HookFunction | undefined)[] = points.map(() => undefined)
  for (const [key, hook] of Object.entries(hooks)) {
    if (hook === undefined || RESERVED_HOOK_NAMES.has(key)) continue
    const index = points.findIndex((point) => point.name === key)
    if (index === -1) {
      const known = points.map((point) => point.name).join(', ')
      throw new HookringError('HOOKPOINT_UNKNOWN', `plugin ${plugin.name} hooks ${key}, which the contract does not have; it has ${known}`)
    }
    if (typeof hook !== 'function') {
      throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${plugin.name}: ${key} must be a function, got ${typeof hook}`)
    }
    byIndex[index] = (event, ctx) => (hook as HookFunction).call(hooks, event, ctx)
  }
  return byIndex
}

function lifecycle(hooks: object, key: 'onShutdown' | 'destroy', plugin: PluginSpec): (() => unknown) | undefined {
  const hook = (hooks as Record<string, unknown>)[key]
  if (hook === undefined) return undefined
  if (typeof hook === 'function') return () => hook.call(hooks)
  throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${plugin.name}: ${key} must be a function, got ${typeof hook}`)
}

function refusal(plugin: PluginSpec, error: unknown): LoadResult {
  const code: ErrorCode = error instanceof HookringError ? error.code : 'PLUGIN_SETUP_FAILED'
  const cause = error instanceof HookringError && error.cause instanceof Error ? error.cause : error
  const stack = cause instanceof Error ? cause.stack?.slice(0, 4000) : undefined
  return {
    ok: false,
    code,
    message: describe(error).slice(0, 4000),
    plugin: plugin.name,
    ...(stack === undefined ? {} : { stack }),
  }
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
