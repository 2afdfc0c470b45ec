/** The plugins of a config file, as the engine takes them, and their change while it runs. Main thread. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ServePlugin, ShippedHook } from '../../contracts/serve-config.js'
import * as hooks from '../../hooks/index.js'
import type { PluginOptions } from '../../index.js'
import type { ServedEngine } from './server.js'

type Register = (config: never, options: hooks.RegistrationOptions) => PluginOptions

const SHIPPED: Readonly<Record<ShippedHook, Register>> = {
  noop: (_, options) => hooks.noop(options),
  acl: hooks.acl,
  auth: hooks.auth,
  'rate-limit': hooks.rateLimit,
  logger: hooks.logger,
  sys: hooks.sys,
  redis: hooks.redis,
  cluster: hooks.cluster,
  'payload-limiter': hooks.payloadLimiter,
  'login-auditor': hooks.loginAuditor,
  tracing: hooks.tracing,
}

/** Files are relative to the config file; packages are found as from the current folder. */
export function pluginsOf(plugins: readonly ServePlugin[], folder: string): PluginOptions[] {
  return plugins.map(({ hook, from, ...options }) => {
    if (hook !== undefined) {
      const { config, ...rest } = options as { config?: never }
      return SHIPPED[hook](config as never, rest)
    }
    const isFile = typeof from === 'string' && /^\.{0,2}\//.test(from)
    const { sourceRoots: named } = options as Pick<PluginOptions, 'sourceRoots'>
    const sourceRoots = named?.map((root) => (typeof root === 'string' ? resolve(folder, root) : root))
    return {
      ...options,
      from: isFile ? pathToFileURL(resolve(folder, from)) : (from as string | URL),
      ...(sourceRoots === undefined ? {} : { sourceRoots }),
    }
  })
}

interface Entry {
  /** What it is known by in the config: its name, or else where it comes from. */
  readonly key: string
  readonly options: PluginOptions
  /** In the engine. */
  readonly name: string
}

/** What came of a change: plugins by name, and what went wrong. */
export interface PluginChanges {
  readonly reloaded: string[]
  readonly added: string[]
  readonly removed: string[]
  /** Not removed, because something failed. */
  readonly kept: string[]
  readonly errors: Error[]
}

/** The plugins that one engine has of a config. */
export class ServedPlugins {
  readonly #engine: ServedEngine
  #entries: Entry[]

  /** @param plugins as the engine was made with them. */
  constructor(engine: ServedEngine, plugins: readonly PluginOptions[]) {
    this.#engine = engine
    const names = engine.plugins.map(({ name }) => name)
    this.#entries = keyed(plugins).map((entry, index) => ({
      ...entry,
      name: entry.options.name ?? (names[index] as string),
    }))
  }

  /**
   * Makes the engine's plugins what the config says now: new ones are added, those that there are loaded anew, others
   * removed. What fails stays as it was, and then nothing is removed: what was to take its place may be what failed.
   */
  async change(plugins: readonly PluginOptions[]): Promise<PluginChanges> {
    const changes: PluginChanges = { reloaded: [], added: [], removed: [], kept: [], errors: [] }
    const wanted = keyed(plugins)
    const isPresent = (key: string) => this.#entries.some((entry) => entry.key === key)
    const isWanted = (key: string) => wanted.some((entry) => entry.key === key)
    const next: Entry[] = []
    for (const entry of wanted.filter(({ key }) => !isPresent(key))) {
      const added = await this.#add(entry, changes)
      if (added !== null) next.push(added)
    }
    for (const entry of this.#entries) {
      const again = wanted.find(({ key }) => key === entry.key)
      if (again !== undefined) next.push(await this.#reload(entry, again, changes))
    }
    for (const entry of this.#entries.filter(({ key }) => !isWanted(key))) {
      const kept = await this.#remove(entry, changes)
      if (kept !== null) next.push(kept)
    }
    this.#entries = next
    return changes
  }

  async #reload(entry: Entry, { options }: Omit<Entry, 'name'>, changes: PluginChanges): Promise<Entry> {
    // What the config no longer says is not to stay.
    const gone = Object.keys(entry.options).filter((key) => !(key in options))
    const cleared = Object.fromEntries(gone.map((key) => [key, undefined]))
    try {
      await this.#engine.reload(entry.name, { ...cleared, ...options })
      changes.reloaded.push(entry.name)
      return { ...entry, options }
    } catch (error) {
      changes.errors.push(error as Error)
      return entry
    }
  }

  async #remove(entry: Entry, changes: PluginChanges): Promise<Entry | null> {
    if (changes.errors.length > 0) {
      changes.kept.push(entry.name)
      return entry
    }
    try {
      await this.#engine.remove(entry.name)
      changes.removed.push(entry.name)
      return null
    } catch (error) {
      changes.errors.push(error as Error)
      return entry
    }
  }

  async #add({ key, options }: Omit<Entry, 'name'>, changes: PluginChanges): Promise<Entry | null> {
    const before = new Set(this.#engine.plugins.map(({ name }) => name))
    try {
      await this.#engine.add(options)
      const added = this.#engine.plugins.find(({ name }) => !before.has(name))
      const name = options.name ?? added?.name ?? key
      changes.added.push(name)
      return { key, options, name }
    } catch (error) {
      changes.errors.push(error as Error)
      return null
    }
  }
}

/** Two without a name from one place are told apart by their order. */
function keyed(plugins: readonly PluginOptions[]): Omit<Entry, 'name'>[] {
  const seen = new Map<string, number>()
  return plugins.map((options) => {
    const origin = options.name ?? String(options.from)
    const count = seen.get(origin) ?? 0
    seen.set(origin, count + 1)
    return { key: `${origin} ${count}`, options }
  })
}
