/**
 * An engine without lanes for tests: loads the plugins' modules into the test's thread and asks them one after the other.
 * It has the shape of the real engine, none of its protections.
 */
import type { Contract, Hookpoints, RejectVerdict } from 'hookring/contracts'
import { HookringError } from 'hookring/contracts'
import type { AskingHooks } from 'hookring/grpc'
import type { Plugin, PluginLogger } from 'hookring/plugin'

export interface TestLogger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface TestEngineOptions<Points extends Hookpoints> {
  contract: Contract<Points>
  plugins?: { from: URL | string; name?: string | undefined; config?: unknown; priority?: number | undefined }[]
  logger?: TestLogger
}

export interface TestEngine<Points extends Hookpoints> {
  readonly contract: Contract<Points>
  readonly hooks: AskingHooks<Points>
  flush(): Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

type LooseHooks = Record<string, ((event: unknown, ctx: unknown) => unknown) | undefined>

export async function createInProcessEngine<Points extends Hookpoints>(
  options: TestEngineOptions<Points>,
): Promise<TestEngine<Points>> {
  const { contract, plugins = [], logger } = options
  const loaded = await Promise.all(plugins.map((plugin) => load(plugin, logger)))
  const running = new Set<Promise<unknown>>()
  let isClosed = false

  const ask = async (name: string, event: unknown, callOptions: object): Promise<unknown> => {
    if (isClosed) throw new HookringError('ENGINE_CLOSED', 'the engine is closed')
    const parsed = contract.hookpoints[name]?.event.safeParse(event)
    if (parsed?.success !== true)
      throw new HookringError('EVENT_INVALID', `${name}: ${parsed?.error.issues[0]?.message}`)
    for (const { plugin, context, hooks } of loaded) {
      const result = await hooks[name]?.(parsed.data, { ...context, traceId: undefined, ...callOptions })
      if (result === undefined) continue
      const { reason, code } = result as { reason: string; code: number | undefined }
      const verdict: RejectVerdict = { kind: 'reject', reason, plugin }
      return code === undefined ? verdict : { ...verdict, code }
    }
    return { kind: 'continue' }
  }

  const hooks: Record<string, unknown> = {}
  for (const [name, { kind }] of Object.entries(contract.hookpoints)) {
    hooks[name] = (event: unknown, callOptions: object = {}) => {
      const asked = ask(name, event, callOptions)
      if (kind !== 'observe') return asked
      const told = asked
        .catch((error: unknown) => logger?.error({ error }, 'observe'))
        .finally(() => running.delete(told))
      running.add(told)
    }
  }

  const flush = async () => {
    await Promise.all(running)
  }
  const close = async () => {
    await flush()
    if (isClosed) return
    isClosed = true
    for (const { hooks: own } of loaded) await own.onShutdown?.(undefined, undefined)
    for (const { hooks: own } of loaded) await own.destroy?.(undefined, undefined)
  }
  return { contract, hooks: hooks as unknown as AskingHooks<Points>, flush, close, [Symbol.asyncDispose]: close }
}

async function load(options: { from: URL | string; name?: string | undefined; config?: unknown }, logger?: TestLogger) {
  const { default: definition } = (await import(String(options.from))) as { default: Plugin }
  const plugin = options.name ?? definition.name
  const parsed = definition.config?.safeParse(options.config)
  if (parsed !== undefined && !parsed.success) {
    throw new HookringError('PLUGIN_CONFIG_INVALID', `${plugin}: ${parsed.error.message}`)
  }
  const line =
    (level: keyof PluginLogger): PluginLogger[typeof level] =>
    (message, fields) =>
      logger?.[level]({ plugin, ...fields }, message)
  const log = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
  const context = { plugin, config: parsed?.data, log }
  return { plugin, context, hooks: (await definition.setup(context)) as LooseHooks }
}
