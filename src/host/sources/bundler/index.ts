/**
 * Makes bundles of plugins, in processes of their own: started when the first is needed, used again by plugins that may see
 * the same folders, ended when there is nothing to do. The server's thread only.
 */
import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { HookringError } from '../../../contracts/errors.js'
import { BundlingProcess } from './bundling-process.js'
import { guestParts } from './guest-parts.js'
import type { View } from './launch.js'
import type { Bundle, BundleJob } from './protocol.js'

export type { BundleForm, SourceFolders } from './protocol.js'

export type PluginToBundle = Omit<BundleJob, 'parts'>

/** Plugins come together, when an engine starts. */
const IDLE_MS = 1_000
/** A trusted plugin has all the time that it needs, within reason. */
const TRUSTED_MS = 60_000
/** A setup may be short: starting esbuild takes its time on a busy machine all the same. */
const SHORTEST_MS = 5_000

interface Idle {
  readonly key: string
  readonly process: BundlingProcess
  readonly timer: NodeJS.Timeout
}

/** Under Yarn's Plug'n'Play packages are in archives, which the bundling process has no way to read. */
function refusePnp({ path, runtime }: PluginToBundle): void {
  if ((process.versions as { pnp?: string }).pnp === undefined) return
  throw new HookringError(
    'PNP_UNSUPPORTED',
    `plugin ${path} must be bundled for runtime ${runtime}, and what is bundled is read from node_modules folders, which Yarn's Plug'n'Play does not make: set nodeLinker: node-modules in .yarnrc.yml`,
  )
}

export class Bundler {
  readonly #timeoutMs: number
  readonly #most = Math.max(1, Math.min(4, availableParallelism()))
  readonly #waiting: (() => void)[] = []
  readonly #busy = new Set<BundlingProcess>()
  #idle: Idle[] = []
  #working = 0
  #isClosed = false

  constructor({ timeoutMs }: { readonly timeoutMs: number }) {
    this.#timeoutMs = Math.max(timeoutMs, SHORTEST_MS)
  }

  /**
   * @throws HookringError PNP_UNSUPPORTED, ESBUILD_MISSING, PLUGIN_BUNDLE_TIMEOUT, PLUGIN_BUNDLE_TOO_LARGE, PLUGIN_IMPORT_FAILED,
   * INTEGRITY_MISMATCH
   */
  async bundle(plugin: PluginToBundle): Promise<Bundle> {
    refusePnp(plugin)
    const job: BundleJob = { ...plugin, parts: guestParts() }
    const esbuildUrl = findEsbuild(job)
    await this.#turn()
    try {
      return await this.#bundleNow(job, esbuildUrl)
    } finally {
      const next = this.#waiting.shift()
      // The turn is handed on, so that nobody else takes it meanwhile.
      if (next === undefined) this.#working -= 1
      else next()
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const ending = [...this.#busy, ...this.#idle.map(({ process }) => process)]
    for (const { timer } of this.#idle) clearTimeout(timer)
    this.#idle = []
    await Promise.all(ending.map((process) => process.end()))
  }

  async #turn(): Promise<void> {
    if (this.#working >= this.#most) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#working += 1
  }

  async #bundleNow(job: BundleJob, esbuildUrl: string): Promise<Bundle> {
    if (this.#isClosed) throw closed(job)
    const isTrusted = job.reach === 'open'
    const view: View = isTrusted ? null : job.folders
    const key = JSON.stringify([view, view === null ? [] : [...view.roots, ...view.packages].map(identityOf)])
    const process = this.#takeIdle(key) ?? (await BundlingProcess.start(view, esbuildUrl))
    this.#busy.add(process)
    try {
      if (this.#isClosed) throw closed(job)
      return await process.run(job, isTrusted ? Math.max(TRUSTED_MS, this.#timeoutMs) : this.#timeoutMs)
    } catch (error) {
      // It was ended under the plugin's feet.
      throw this.#isClosed ? closed(job) : error
    } finally {
      this.#busy.delete(process)
      if (process.isUsable && !this.#isClosed) this.#keep(key, process)
      else await process.end()
    }
  }

  #takeIdle(key: string): BundlingProcess | null {
    for (const idle of this.#idle.filter((each) => each.key === key)) {
      this.#forget(idle)
      if (idle.process.isUsable) return idle.process
    }
    return null
  }

  /** As many as may work wait; the one that waits longest makes room. */
  #keep(key: string, process: BundlingProcess): void {
    const oldest = this.#idle.length >= this.#most ? this.#idle[0] : undefined
    if (oldest !== undefined) this.#endIdle(oldest)
    const timer = setTimeout(() => this.#endIdle(idle), IDLE_MS)
    timer.unref()
    const idle: Idle = { key, process, timer }
    this.#idle.push(idle)
  }

  #endIdle(idle: Idle): void {
    this.#forget(idle)
    void idle.process.end()
  }

  #forget(idle: Idle): void {
    clearTimeout(idle.timer)
    this.#idle = this.#idle.filter((each) => each !== idle)
  }
}

function closed({ path }: BundleJob): HookringError {
  return new HookringError('ENGINE_CLOSED', `plugin ${path}: the engine was closed while it was bundled`)
}

function findEsbuild({ path, form, runtime, reach }: BundleJob): string {
  try {
    return import.meta.resolve('esbuild')
  } catch {
    const why =
      form === 'module'
        ? reach === 'pinned'
          ? 'its integrity value takes esbuild to keep'
          : 'TypeScript takes esbuild'
        : `${form === 'guest' ? `runtime ${runtime}` : 'a process of its own'} takes one file with all that the plugin imports, and esbuild to make it`
    throw new HookringError('ESBUILD_MISSING', `plugin ${path}: ${why}: install esbuild`)
  }
}

/**
 * Which folder stands there now. A confined process sees the folders that stood there when it began: of one that has been replaced
 * since, as a deployment does, it would see nothing.
 */
function identityOf(folder: string): string {
  const found = statSync(folder, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? '' : `${found.dev}:${found.ino}`
}
