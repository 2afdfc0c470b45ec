/**
 * Plugins behind the process boundary, as the lane sees them: a runtime whose plugins run, each in its own runtime, in the
 * lane's child process. The lane's thread only.
 */
import { serialize } from 'node:v8'
import type { LaneSpec, LogLine } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import type { ChildProfile, LaneLoss } from '../../contracts/process.js'
import { describe } from '../../plugin/setup.js'
import { codeOf } from '../runtimes/code.js'
import type { EventBytes, PluginPlace, Runtime, RuntimePlugin } from '../runtimes/runtime.js'
import type { LoadOrder } from './child-calls.js'
import { type Child, type ChildNews, startChild } from './child-process.js'
import { HEAD_BYTES } from './frames.js'
import { createLink, type Link } from './link.js'

/** The child of a lane that is to be: it boots while the thread waits as a spare. */
export interface ChildAhead {
  readonly profile: ChildProfile
  readonly started: Promise<Child>
}

export interface BehindOptions {
  readonly ahead: ChildAhead
  readonly spec: LaneSpec
  log(line: LogLine): void
  onLost(loss: LaneLoss): void
}

export function startAhead(profile: ChildProfile, news: ChildNews): ChildAhead {
  const started = startChild({ profile, news })
  // Whoever loads plugins hears of how it failed.
  started.catch(() => news.booted(null))
  return { profile, started }
}

export function runtimeBehind({ ahead, spec, log, onLost }: BehindOptions): Runtime {
  const residents = spec.plugins.map((plugin) => plugin.name)
  const names = [...residents]
  // The lane's memory holds the largest event with its replies, several times over.
  const maxFrameBytes = spec.buffer.byteLength
  let link: Promise<Link> | null = null
  let loads = 0
  let living = 0

  async function open(place: PluginPlace): Promise<Link> {
    const child = await started(place)
    if (child.missing.length > 0) {
      const message = `its process goes without ${child.missing.join('; ')}`
      log({ level: 'warn', plugin: place.plugin.name, message })
    }
    return createLink({
      child,
      hangMs: ahead.profile.hangMs,
      maxFrameBytes,
      onLog: (line, plugin) => log({ ...line, plugin: nameOf(plugin) }),
      onDropped: (lines) => log({ level: 'warn', plugin: nameOf(-1), message: `${lines} log lines were dropped` }),
      onLost,
    })
  }

  async function started({ plugin }: PluginPlace): Promise<Child> {
    try {
      return await ahead.started
    } catch (error) {
      const { code, message } = error as HookringError
      throw new HookringError(code ?? 'PLUGIN_CRASHED', `plugin ${plugin.name}: ${message}`, { cause: error })
    }
  }

  function nameOf(plugin: number): string {
    return names[plugin] ?? (names.length === 1 ? (names[0] as string) : '(lane)')
  }

  async function load(place: PluginPlace): Promise<RuntimePlugin> {
    const index = loads
    loads += 1
    link ??= open(place)
    const opened = await link
    living += 1
    try {
      return await loadBehind(place, opened, index)
    } catch (error) {
      await dispose(opened)
      throw error
    }
  }

  async function loadBehind(place: PluginPlace, opened: Link, index: number): Promise<RuntimePlugin> {
    const { plugin, hookpoints } = place
    const answer = await opened.load(index, await orderOf(place))
    if (!answer.ok) {
      const cause = answer.stack === undefined ? undefined : Object.assign(new Error(), { stack: answer.stack })
      throw new HookringError(answer.code, answer.message, { cause })
    }
    const { name } = answer
    names[index] = name
    place.named(name)
    const hooked = new Set(answer.hooks)
    return {
      name,
      takes: 'bytes',
      // The child has it, parsed.
      config: undefined,
      log: place.logger(name),
      hooks: hookpoints.map((hookpoint, point) => {
        if (!hooked.has(point)) return undefined
        const target = { plugin: index, point, hookpoint: hookpoint.name, timeoutMs: plugin.timeoutMs }
        return (event, ctx) => opened.call(target, event as EventBytes, ctx as Parameters<Link['call']>[2])
      }),
      onShutdown: answer.onShutdown ? () => opened.endLife(index, 'shutdown') : undefined,
      destroy: () => opened.endLife(index, 'destroy'),
      dispose: () => dispose(opened),
    }
  }

  async function orderOf(place: PluginPlace): Promise<Buffer> {
    const { plugin, contract, hookpoints } = place
    const code = await codeOf(place)
    const order: LoadOrder = {
      plugin,
      residents,
      contract,
      hookpoints,
      code,
      maxReplyBytes: maxFrameBytes - HEAD_BYTES,
    }
    try {
      return serialize(order)
    } catch (error) {
      const message = `plugin ${plugin.name}: its config cannot cross to another process: ${describe(error)}`
      throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config'], cause: error })
    }
  }

  /** With the last of its plugins the child goes too. */
  async function dispose(opened: Link): Promise<void> {
    living -= 1
    if (living === 0) await opened.end()
  }

  return { load }
}
