/**
 * Plugins behind the process boundary, as the lane sees them: a runtime whose plugins run, each in its own runtime, in the
 * lane's child process. The lane's thread only.
 */
import { serialize } from 'node:v8'
import type { LaneSpec, LogLine } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import type { ChildProfile, LaneLoss } from '../../contracts/process.js'
import type { HookFunction } from '../../plugin/setup.js'
import { describe } from '../../plugin/setup.js'
import type { CallContext } from '../runtimes/call-context.js'
import { codeOf } from '../runtimes/code.js'
import type { EventBytes, PluginPlace, Runtime, RuntimePlugin } from '../runtimes/runtime.js'
import { checkWasmFile } from '../runtimes/wasm/file-size.js'
import type { LoadOrder } from './child-calls.js'
import { type ChildNews, type ChildProcess, startChild } from './child-process.js'
import { Link } from './link.js'

/** A child that boots while the lane's thread waits as a spare. */
export interface PrestartedChild {
  readonly profile: ChildProfile
  readonly started: Promise<ChildProcess>
}

export function prestartChild(profile: ChildProfile, news: ChildNews): PrestartedChild {
  const started = startChild({ profile, news })
  // Whoever loads plugins hears of how it failed.
  started.catch(() => news.booted(null))
  return { profile, started }
}

export interface ChildRuntimeOptions {
  readonly prestarted: PrestartedChild
  readonly spec: LaneSpec
  log(line: LogLine): void
  /** Lines that the child had no room for, or that were none. */
  dropped(lines: number): void
  onLost(loss: LaneLoss): void
}

export class ChildRuntime implements Runtime {
  readonly #options: ChildRuntimeOptions
  readonly #residents: readonly string[]
  /** By which the child's plugins go, by index. */
  readonly #names: string[]
  /** The lane's memory holds the largest event with its replies, several times over. */
  readonly #maxReplyBytes: number
  #link: Promise<Link> | null = null
  #loads = 0
  #living = 0

  constructor(options: ChildRuntimeOptions) {
    this.#options = options
    this.#residents = options.spec.plugins.map((plugin) => plugin.name)
    this.#names = [...this.#residents]
    this.#maxReplyBytes = options.spec.buffer.byteLength
  }

  async load(place: PluginPlace): Promise<RuntimePlugin> {
    const index = this.#loads
    this.#loads += 1
    this.#link ??= this.#open(place)
    const link = await this.#link
    this.#living += 1
    try {
      return await this.#loadInto(link, place, index)
    } catch (error) {
      await this.#dispose(link)
      throw error
    }
  }

  async #open(place: PluginPlace): Promise<Link> {
    const { prestarted, log, dropped, onLost } = this.#options
    const child = await startedFor(place, prestarted)
    if (child.missing.length > 0) {
      const message = `its process goes without ${child.missing.join('; ')}`
      log({ level: 'warn', plugin: place.plugin.name, message })
    }
    return new Link({
      child,
      hangMs: prestarted.profile.hangMs,
      maxReplyBytes: this.#maxReplyBytes,
      onLog: (line, plugin) => log({ ...line, plugin: this.#nameOf(plugin) }),
      onDropped: dropped,
      onLost,
    })
  }

  #nameOf(plugin: number): string {
    return this.#names[plugin] ?? (this.#names.length === 1 ? (this.#names[0] as string) : '(lane)')
  }

  async #loadInto(link: Link, place: PluginPlace, index: number): Promise<RuntimePlugin> {
    const answer = await link.load(index, await this.#orderOf(place))
    if (!answer.ok) {
      const cause = answer.stack === undefined ? undefined : Object.assign(new Error(), { stack: answer.stack })
      throw new HookringError(answer.code, answer.message, { cause })
    }
    const { name } = answer
    this.#names[index] = name
    place.named(name)
    const hooked = new Set(answer.hooks)
    return {
      name,
      takes: 'bytes',
      // The child has it, parsed.
      config: undefined,
      log: place.logger(name),
      hooks: place.hookpoints.map((_, point) => (hooked.has(point) ? hookOf(link, place, index, point) : undefined)),
      onShutdown: answer.onShutdown ? () => link.endLife(index, 'shutdown') : undefined,
      destroy: () => link.endLife(index, 'destroy'),
      dispose: () => this.#dispose(link),
    }
  }

  async #orderOf(place: PluginPlace): Promise<Buffer> {
    const { plugin, contract, hookpoints } = place
    if (plugin.runtime === 'wasm') checkWasmFile(place)
    const code = await codeOf(place)
    const order: LoadOrder = {
      plugin,
      residents: this.#residents,
      contract,
      hookpoints,
      code,
      maxReplyBytes: this.#maxReplyBytes,
    }
    try {
      return serialize(order)
    } catch (error) {
      const message = `plugin ${plugin.name}: its config cannot cross to another process: ${describe(error)}`
      throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config'], cause: error })
    }
  }

  /** With the last of its plugins the child goes too. */
  async #dispose(link: Link): Promise<void> {
    this.#living -= 1
    if (this.#living === 0) await link.end()
  }
}

async function startedFor({ plugin }: PluginPlace, { started }: PrestartedChild): Promise<ChildProcess> {
  try {
    return await started
  } catch (error) {
    const { code, message } = error as HookringError
    throw new HookringError(code ?? 'PLUGIN_CRASHED', `plugin ${plugin.name}: ${message}`, { cause: error })
  }
}

function hookOf(link: Link, { plugin, hookpoints }: PluginPlace, index: number, point: number): HookFunction {
  const hookpoint = hookpoints[point]?.name as string
  const target = { plugin: index, point, hookpoint, timeoutMs: plugin.timeoutMs }
  return (event, ctx) => link.call(target, event as EventBytes, ctx as CallContext)
}
