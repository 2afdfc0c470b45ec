/**
 * Plugins in a child process: loaded by their runtimes as in a lane's thread, and called as the lane's chain calls them. The
 * child's main thread.
 */
import { deserialize } from 'node:v8'
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { HookpointSpec, LogLine, PluginSpec } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import type { ChildLoad } from '../../contracts/process.js'
import { describe } from '../../plugin/setup.js'
import { monotonicMs } from '../../ring/clock.js'
import { Invoker, type PendingHook } from '../calls/invoke.js'
import type { LoadedPlugin } from '../calls/loader.js'
import { createRunPoint, type RunPoint } from '../calls/run-point.js'
import { RUNTIMES } from '../calls/runtimes.js'
import { CallContext } from '../runtimes/call-context.js'
import { nameResident, runAs, setResidents, setRunning } from '../thread/attribution.js'
import { BackgroundWatch } from '../thread/background-watch.js'
import { ExitHandlers } from '../thread/exit-handlers.js'
import type { LogSender } from '../thread/log-sender.js'
import { ThrownErrors } from '../thread/thrown-errors.js'
import type { ChildPipe } from './child-pipe.js'
import { FrameVerdicts } from './frame-verdicts.js'
import { FROM_CHILD, type Frame, HEAD_BYTES, MAX_TEXT_BYTES, TO_CHILD } from './frames.js'
import type { CrossingLine } from './log-frames.js'

/** How a plugin is loaded; the lane's word, serialised by v8. */
export interface LoadOrder {
  readonly plugin: PluginSpec
  /** All plugins of the lane, in its order; whose turn it is stands in the frame. */
  readonly residents: readonly string[]
  readonly contract: { readonly name: string; readonly version: number }
  readonly hookpoints: readonly HookpointSpec[]
  readonly code: Uint8Array
  /** Of a replacement or an answer. */
  readonly maxReplyBytes: number
}

export class ChildCalls {
  readonly #pipe: ChildPipe
  readonly #sender: LogSender
  readonly #plugins: (LoadedPlugin | undefined)[] = []
  readonly #names: string[] = []
  readonly #background = new BackgroundWatch()
  /** Made when the first plugin is loaded. */
  #points: readonly RunPoint[] = []
  #invoker: Invoker | null = null
  #exitHandlers: ExitHandlers | null = null
  #isEnding = false
  #memory: CodecMemory = codecMemory(new ArrayBuffer(0))

  constructor(pipe: ChildPipe, sender: LogSender) {
    this.#pipe = pipe
    this.#sender = sender
  }

  /** Frames wait until it has resolved. */
  async load({ index, payload }: Frame): Promise<void> {
    let answer: ChildLoad
    this.#background.begin()
    try {
      const order = deserialize(payload) as LoadOrder
      if (this.#invoker === null) this.#begin(order)
      answer = await runAs(order.plugin.name, () => this.#loadPlugin(order, index))
    } catch (error) {
      answer = refusal(error)
    }
    await this.#background.turn()
    await this.#background.loaded({ areMany: this.#plugins.length > 1 })
    this.#pipe.send(FROM_CHILD.loaded, { index, payload: Buffer.from(JSON.stringify(answer)) })
  }

  call(frame: Frame): void {
    const { id, index, point, extra: traceBytes, deadlineMs, buffer, at } = frame
    const plugin = this.#plugins[index]
    if (this.#invoker === null || plugin?.hooks[point] === undefined) return
    if (monotonicMs() >= deadlineMs) {
      // It has waited its time out behind others: nobody waits for it any more.
      this.#pipe.send(FROM_CHILD.stopped, { id })
      return
    }
    const traceAt = at + HEAD_BYTES
    const trace = traceBytes === 0 ? undefined : buffer.toString('utf8', traceAt, traceAt + traceBytes)
    const ctx = new CallContext(plugin, deadlineMs, trace)
    const event = this.#eventFor(plugin, frame)
    // What its promise comes to is sent later: the next call may begin.
    if (typeof this.#invoker.invoke(id, plugin, point, event, ctx) !== 'number') {
      this.#pipe.send(FROM_CHILD.pends, { id })
    }
    setRunning(undefined)
  }

  abort({ id, index }: Frame): void {
    const hook = this.#pendingOf(id)
    if (hook === undefined) return
    hook.ctx.abort(index === 0 ? 'deadline' : 'caller')
    if (index === 0) this.#invoker?.close(hook)
  }

  async endLife({ id, index, what }: Frame): Promise<void> {
    this.#isEnding = true
    const plugin = this.#plugins[index]
    let failure: string | undefined
    try {
      if (plugin === undefined) return
      const end = what === TO_CHILD.destroy ? plugin.destroy : plugin.onShutdown
      if (end !== undefined) await runAs(plugin.name, end)
      if (what === TO_CHILD.destroy) await this.#destroyed(plugin, index)
    } catch (error) {
      failure = describe(error)
    } finally {
      // What was logged last must be there before the lane lets go.
      await this.#sender.flushed()
      this.#pipe.send(FROM_CHILD.done, {
        id,
        index: failure === undefined ? 0 : 1,
        payload: Buffer.from(failure ?? '').subarray(0, MAX_TEXT_BYTES),
      })
    }
  }

  /** A turn of the event loop, for the pipe's own sake. */
  turn(): Promise<void> {
    return this.#background.turn()
  }

  /** Whether anything goes on besides hooks that return. */
  needsLoop(): boolean {
    return this.#isEnding || (this.#invoker !== null && this.#invoker.pending.size > 0) || this.#background.needsLoop()
  }

  /** A log line as it crosses: its plugin by index. */
  crossing({ plugin, ...line }: LogLine): CrossingLine {
    return { ...line, plugin: this.#names.indexOf(plugin) }
  }

  async #destroyed(plugin: LoadedPlugin, index: number): Promise<void> {
    await plugin.dispose?.()
    this.#plugins[index] = undefined
    if (this.#plugins.some((other) => other !== undefined)) return
    this.#exitHandlers?.run((error) => {
      const message = `an exit handler failed: ${describe(error)}`
      this.#sender.send({ level: 'error', plugin: plugin.name, message, uncaught: true })
    })
  }

  #begin({ hookpoints, residents, maxReplyBytes }: LoadOrder): void {
    this.#points = hookpoints.map(createRunPoint)
    this.#exitHandlers = new ExitHandlers()
    setResidents(residents.map((name) => ({ name, url: `file:///${name}` })))
    const thrown = new ThrownErrors(this.#sender)
    const onThrown = ({ name }: LoadedPlugin, point: number, error: unknown) =>
      thrown.tell(name, hookpoints[point]?.name ?? '', error)
    const writer = new FrameVerdicts(this.#pipe, { maxReplyBytes })
    this.#invoker = new Invoker({ points: this.#points, writer, onThrown, onSettled() {} })
  }

  async #loadPlugin({ plugin, contract, hookpoints, code }: LoadOrder, index: number): Promise<ChildLoad> {
    this.#names[index] = plugin.name
    const runtime = await RUNTIMES[plugin.runtime]()
    const loaded = await runtime.load({
      plugin: plugin.runtime === 'module' ? { ...plugin, url: importable(code, plugin.name) } : plugin,
      contract,
      hookpoints,
      code,
      named: (name) => {
        this.#names[index] = name
        nameResident({ name, url: sourceName(plugin.name) })
      },
      logger: (name) => this.#sender.logger(name),
    })
    this.#plugins[index] = { ...loaded, index, timeoutMs: plugin.timeoutMs }
    return {
      ok: true,
      name: loaded.name,
      hooks: hookpoints.map((_, at) => at).filter((at) => loaded.hooks[at] !== undefined),
      onShutdown: loaded.onShutdown !== undefined,
    }
  }

  #eventFor({ takes }: LoadedPlugin, { buffer, at, bytes, extra: traceBytes, point }: Frame): unknown {
    if (this.#memory.buffer.buffer !== buffer.buffer) this.#memory = codecMemory(buffer.buffer)
    const eventAt = buffer.byteOffset + at + HEAD_BYTES + traceBytes
    const eventBytes = bytes - HEAD_BYTES - traceBytes
    if (takes === 'bytes') return { u8: this.#memory.u8, at: eventAt, bytes: eventBytes }
    return (this.#points[point] as RunPoint).reader.open(this.#memory, eventAt, eventBytes)
  }

  #pendingOf(id: number): PendingHook | undefined {
    for (const hook of this.#invoker?.pending ?? []) if (hook.call === id) return hook
    return undefined
  }
}

/** What stands in stack traces for a plugin's code, which comes from no file. */
function sourceName(plugin: string): string {
  return `plugin:${plugin}`
}

function importable(code: Uint8Array, plugin: string): string {
  const named = Buffer.concat([code, Buffer.from(`\n//# sourceURL=${sourceName(plugin)}\n`)])
  return `data:text/javascript;base64,${named.toString('base64')}`
}

function refusal(error: unknown): ChildLoad {
  const cause = error instanceof HookringError && error.cause instanceof Error ? error.cause : error
  return {
    ok: false,
    code: error instanceof HookringError ? error.code : 'PLUGIN_SETUP_FAILED',
    message: describe(error).slice(0, 4000),
    ...(cause instanceof Error && cause.stack !== undefined ? { stack: cause.stack.slice(0, 4000) } : {}),
  }
}
