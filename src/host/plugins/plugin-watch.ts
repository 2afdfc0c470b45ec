/**
 * Reloads plugins whose files change, in development. A plugin's files are those that its bundle was made of, or those that its
 * lanes say they import. What does not load is told, and the version before goes on. Host's thread only.
 */
import { realpathSync } from 'node:fs'
import { HookringError } from '../../contracts/errors.js'
import { watchOptionsSchema } from '../../contracts/option-schemas.js'
import { parseOptions } from '../../contracts/parse-options.js'
import { bindMethods } from '../../primitives/bind-methods.js'
import { monotonicMs } from '../../ring/clock.js'
import type { Registration } from '../model/plugin.js'
import type { Compiler } from '../sources/compiler/index.js'
import { FileWatch } from '../sources/file-watch.js'
import type { PluginSources } from '../sources/locate.js'
import type { Emit } from '../telemetry/events.js'
import type { PluginChanges } from './plugin-changes.js'
import type { Registry } from './registry.js'

export interface WatchOptions {
  /** Changes that follow each other sooner than this are one, in milliseconds (0 to 60,000). Default 100. */
  debounceMs?: number | undefined
}

/** What `engine.watch()` gives. */
export interface Watching extends AsyncDisposable {
  /** Ends the watchers; resolves when a reload that is under way is over. */
  close(): Promise<void>
}

export interface PluginWatchOptions {
  readonly debounceMs: number
  readonly registry: Pick<Registry, 'registrations' | 'find' | 'reportImports' | 'onChanged'>
  readonly changes: Pick<PluginChanges, 'reloadAll'>
  readonly sources: Pick<PluginSources, 'filesOf'>
  readonly compiler: Pick<Compiler, 'onImport'>
  readonly emit: Emit
}

/** An engine's: one at a time. */
export class PluginWatches {
  readonly #options: Omit<PluginWatchOptions, 'debounceMs'>
  #present: { readonly watch: PluginWatch; readonly begun: Promise<void> } | null = null

  constructor(options: Omit<PluginWatchOptions, 'debounceMs'>) {
    this.#options = options
  }

  /** @throws HookringError OPTIONS_INVALID */
  async begin(options: WatchOptions): Promise<Watching> {
    const { debounceMs } = parseOptions(watchOptionsSchema, options, 'watch')
    if (this.#present === null || this.#present.watch.isClosed) {
      const watch = bindMethods(new PluginWatch({ ...this.#options, debounceMs }))
      this.#present = { watch, begun: watch.begin() }
    }
    await this.#present.begun
    return this.#present.watch
  }

  async close(): Promise<void> {
    await this.#present?.begun
    await this.#present?.watch.close()
  }
}

export class PluginWatch implements Watching {
  readonly #options: PluginWatchOptions
  readonly #files: FileWatch
  /** By file, what it imports: all that lanes have said so far, also of versions that are gone. */
  readonly #imports = new Map<string, Set<string>>()
  /** Orders of plugins whose newest version does not load. */
  readonly #failed = new Set<number>()
  /** When lanes last began to read files (Unix ms). */
  #readMs = 0
  #work: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: PluginWatchOptions) {
    this.#options = options
    this.#files = new FileWatch({
      debounceMs: options.debounceMs,
      onChange: (changed) => {
        this.#work = this.#work.then(() => this.#reload(new Set(changed)))
      },
      onError: (error) => options.emit('error', error),
    })
  }

  /** Resolves when changes are seen. Lanes of modules start anew, to say what they import. */
  async begin(): Promise<void> {
    const { compiler, registry, emit } = this.#options
    this.#readMs = Date.now()
    compiler.onImport((importer, imported) => this.#imported(importer, imported))
    try {
      await registry.reportImports()
    } catch (error) {
      emit('error', failure(error))
    }
    registry.onChanged(() => this.#track())
    this.#track()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  async close(): Promise<void> {
    if (this.#isClosed) return this.#work
    this.#isClosed = true
    this.#files.close()
    await this.#work
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #imported(importer: string, imported: string): void {
    if (this.#isClosed) return
    const known = this.#imports.get(importer)
    if (known === undefined) this.#imports.set(importer, new Set([imported]))
    else known.add(imported)
    this.#files.add(imported, this.#readMs)
  }

  #track(): void {
    if (this.#isClosed) return
    for (const registration of this.#options.registry.registrations) {
      for (const file of this.#filesOf(registration)) this.#files.add(file, this.#readMs)
    }
  }

  #filesOf({ url, runtime }: Registration): Set<string> {
    if (runtime === 'exhook') return new Set()
    const files = new Set(this.#options.sources.filesOf(url).flatMap((file) => [file, realPath(file)]))
    // A set is gone through with what is added on the way.
    for (const file of files) for (const imported of this.#imports.get(file) ?? []) files.add(imported)
    return files
  }

  async #reload(changed: ReadonlySet<string>): Promise<void> {
    for (const group of this.#affected(changed)) {
      if (this.#isClosed) return
      await this.#reloadGroup(group, changed)
    }
  }

  /** Plugins that share a bulkhead start together. */
  #affected(changed: ReadonlySet<string>): Registration[][] {
    const groups = new Map<string, Registration[]>()
    for (const registration of this.#options.registry.registrations) {
      const isChanged = [...this.#filesOf(registration)].some((file) => changed.has(file))
      if (!isChanged && !this.#failed.has(registration.order)) continue
      const bulkhead = this.#options.registry.find(registration.name)?.bulkhead.name ?? registration.ownBulkhead
      const group = groups.get(bulkhead)
      if (group === undefined) groups.set(bulkhead, [registration])
      else group.push(registration)
    }
    return [...groups.values()]
  }

  async #reloadGroup(group: readonly Registration[], changed: ReadonlySet<string>): Promise<void> {
    const { changes, registry, emit } = this.#options
    const orders = new Set(group.map(({ order }) => order))
    const sinceMs = monotonicMs()
    this.#readMs = Date.now()
    try {
      await changes.reloadAll(orders)
    } catch (error) {
      for (const order of orders) this.#failed.add(order)
      if (!this.#isClosed) emit('error', failure(error))
      return
    }
    const tookMs = monotonicMs() - sinceMs
    for (const order of orders) this.#failed.delete(order)
    for (const registration of registry.registrations) {
      if (!orders.has(registration.order)) continue
      const own = this.#filesOf(registration)
      const files = [...changed].filter((file) => own.has(file))
      emit('pluginReloaded', { plugin: registration.name, files, tookMs })
    }
  }
}

function failure(error: unknown): HookringError {
  return error instanceof HookringError
    ? error
    : new HookringError('PLUGIN_IMPORT_FAILED', `a plugin was not reloaded: ${String(error)}`, { cause: error })
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}
