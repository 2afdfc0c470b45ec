/**
 * Plugins in a child process: loaded by their runtimes as in a lane's thread, called as the lane's chain calls them, their
 * verdicts turned into bytes here. The child's main thread.
 */
import { deserialize } from 'node:v8'
import { type CodecMemory, codecMemory } from '../../contracts/codec/memory.js'
import type { HookpointSpec, LogLine, PluginSpec } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import type { ChildLoad } from '../../contracts/process.js'
import { isThenable, readResult, tooLargeMessage } from '../../plugin/result.js'
import { describe } from '../../plugin/setup.js'
import { monotonicMs } from '../../ring/clock.js'
import { type LoadedPlugin, RUNTIMES } from '../calls/loader.js'
import { createRunPoint, type RunPoint } from '../calls/run-point.js'
import { CallContext } from '../runtimes/call-context.js'
import { EncodedReply, StoppedAtDeadline } from '../runtimes/runtime.js'
import { nameResident, runAs, setResidents, setRunning } from '../thread/attribution.js'
import { createHandleWatch } from '../thread/handle-watch.js'
import type { LogSender } from '../thread/log-sender.js'
import type { ChildPipe } from './child-pipe.js'
import { FROM_CHILD, type Frame, HEAD_BYTES, MAX_TEXT_BYTES, TO_CHILD } from './frames.js'

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

export interface ChildCalls {
  load(frame: Frame): Promise<void>
  call(frame: Frame): void
  abort(frame: Frame): void
  endLife(frame: Frame): Promise<void>
  /** Whether anything goes on besides hooks that return. */
  needsLoop(): boolean
  /** A log line as it crosses: its plugin by index. */
  indexed(line: LogLine): object
}

interface Pending {
  readonly event: unknown
  readonly ctx: CallContext
  readonly point: RunPoint
}

export function createChildCalls(pipe: ChildPipe, sender: LogSender): ChildCalls {
  const plugins: (LoadedPlugin | undefined)[] = []
  const names: string[] = []
  const isAsync: boolean[][] = []
  const pending = new Map<number, Pending>()
  const handles = createHandleWatch()
  handles.begin()
  let points: readonly RunPoint[] = []
  let maxReplyBytes = 0
  let isEnding = false
  let memory: CodecMemory = codecMemory(new ArrayBuffer(0))
  let roomMemory: CodecMemory = memory

  async function load(frame: Frame): Promise<void> {
    const { index } = frame
    let answer: ChildLoad
    try {
      const order = deserialize(frame.payload) as LoadOrder
      if (points.length === 0) {
        points = order.hookpoints.map(createRunPoint)
        maxReplyBytes = order.maxReplyBytes
        setResidents(order.residents.map((name) => ({ name, url: `file:///${name}` })))
      }
      answer = await runAs(order.plugin.name, () => loadPlugin(order, index))
    } catch (error) {
      answer = refusal(error)
    }
    pipe.send(FROM_CHILD.loaded, { index, payload: Buffer.from(JSON.stringify(answer)) })
  }

  async function loadPlugin({ plugin, contract, hookpoints, code }: LoadOrder, index: number): Promise<ChildLoad> {
    names[index] = plugin.name
    const runtime = await RUNTIMES[plugin.runtime]()
    const loaded = await runtime.load({
      plugin: plugin.runtime === 'module' ? { ...plugin, url: importable(code, plugin.name) } : plugin,
      contract,
      hookpoints,
      code,
      named(name) {
        names[index] = name
        nameResident({ name, url: sourceName(plugin.name) })
      },
      logger: (name) => sender.logger(name),
    })
    plugins[index] = { ...loaded, index, timeoutMs: plugin.timeoutMs }
    isAsync[index] = []
    return {
      ok: true,
      name: loaded.name,
      hooks: hookpoints.map((_, at) => at).filter((at) => loaded.hooks[at] !== undefined),
      onShutdown: loaded.onShutdown !== undefined,
    }
  }

  function call(frame: Frame): void {
    const { id, index, point: pointIndex, extra: traceBytes, deadlineMs } = frame
    const point = points[pointIndex]
    const plugin = plugins[index]
    const hook = plugin?.hooks[pointIndex]
    if (point === undefined || plugin === undefined || hook === undefined) return
    if (monotonicMs() >= deadlineMs) {
      // It has waited its time out behind others: nobody waits for it any more.
      pipe.send(FROM_CHILD.stopped, { id })
      return
    }
    const { buffer, at, bytes } = frame
    if (memory.buffer.buffer !== buffer.buffer) memory = codecMemory(buffer.buffer)
    const eventAt = buffer.byteOffset + at + HEAD_BYTES + traceBytes
    const eventBytes = bytes - HEAD_BYTES - traceBytes
    const trace = traceBytes === 0 ? undefined : buffer.toString('utf8', at + HEAD_BYTES, at + HEAD_BYTES + traceBytes)
    const ctx = new CallContext(plugin, deadlineMs, trace)
    const event =
      plugin.takes === 'bytes'
        ? { u8: memory.u8, at: eventAt, bytes: eventBytes }
        : point.reader.open(memory, eventAt, eventBytes)
    let isPending = false
    setRunning(plugin.name)
    try {
      const hasPended = isAsync[index]?.[pointIndex] === true
      const result = hasPended ? runAs(plugin.name, () => hook(event, ctx)) : hook(event, ctx)
      if (isThenable(result)) {
        isPending = true
        ;(isAsync[index] as boolean[])[pointIndex] = true
        wait(id, { event, ctx, point }, result)
        return
      }
      answer(id, point, result)
    } catch (error) {
      fail(id, error)
    } finally {
      if (!isPending) point.reader.close(event)
      setRunning(undefined)
    }
  }

  function wait(id: number, waiting: Pending, promise: PromiseLike<unknown>): void {
    pending.set(id, waiting)
    pipe.send(FROM_CHILD.pends, { id })
    Promise.resolve(promise).then(
      (result) => proceed(id, waiting, () => answer(id, waiting.point, result)),
      (error) => proceed(id, waiting, () => fail(id, error)),
    )
  }

  function proceed(id: number, { event, point }: Pending, settle: () => void): void {
    pending.delete(id)
    try {
      settle()
    } catch (error) {
      fail(id, error)
    }
    point.reader.close(event)
  }

  function abort({ id, index }: Frame): void {
    const waiting = pending.get(id)
    if (waiting === undefined) return
    waiting.ctx.abort(index === 0 ? 'deadline' : 'caller')
    if (index === 0) waiting.point.reader.close(waiting.event)
  }

  /** Turns what a hook returned into a frame. Throws what the plugin's getters throw, before anything is sent. */
  function answer(id: number, point: RunPoint, result: unknown): void {
    if (result instanceof EncodedReply) {
      pipe.send(result.kind === 'replace' ? FROM_CHILD.replaces : FROM_CHILD.responds, { id, payload: result.bytes })
      return
    }
    const read = readResult(point.kind, result)
    switch (read.kind) {
      case 'continue':
        pipe.sendRoom({ what: FROM_CHILD.continues, bytes: HEAD_BYTES, id })
        return
      case 'reject':
        sendText(FROM_CHILD.rejects, id, read.reason, read.code)
        return
      case 'replace':
        encoded(FROM_CHILD.replaces, id, point, read.event)
        return
      case 'respond':
        encoded(FROM_CHILD.responds, id, point, read.value)
        return
      case 'invalid':
        sendText(FROM_CHILD.invalid, id, read.message)
        return
    }
  }

  function encoded(what: number, id: number, { replyEncoder }: RunPoint, value: unknown): void {
    if (replyEncoder === null) throw new Error('this hookpoint has no reply')
    let limit = pipe.room(HEAD_BYTES).length
    for (;;) {
      const room = pipe.room(limit)
      if (roomMemory.buffer.buffer !== room.buffer) roomMemory = codecMemory(room.buffer)
      const bytes = replyEncoder.encode(
        roomMemory,
        HEAD_BYTES,
        Math.min(room.length, HEAD_BYTES + maxReplyBytes),
        value,
      )
      if (bytes >= 0) {
        pipe.sendRoom({ what, bytes: HEAD_BYTES + bytes, id })
        return
      }
      if (-bytes > maxReplyBytes) {
        const kind = what === FROM_CHILD.replaces ? 'replacement' : 'answer'
        sendText(FROM_CHILD.invalid, id, tooLargeMessage(kind, -bytes, maxReplyBytes))
        return
      }
      limit = HEAD_BYTES + Math.max(-bytes, 2 * room.length)
    }
  }

  function fail(id: number, error: unknown): void {
    if (error instanceof StoppedAtDeadline) {
      pipe.send(FROM_CHILD.stopped, { id })
    } else if (error instanceof HookringError && error.code === 'EVENT_INVALID') {
      // A value that does not fit its schema is a bad verdict, not a broken plugin.
      sendText(FROM_CHILD.invalid, id, error.message)
    } else {
      sendText(FROM_CHILD.fails, id, describe(error))
    }
  }

  function sendText(what: number, id: number, text: string, code?: number): void {
    const room = pipe.room(HEAD_BYTES + MAX_TEXT_BYTES)
    const written = room.write(text, HEAD_BYTES, MAX_TEXT_BYTES, 'utf8')
    const coded = code === undefined ? {} : { index: 1, extra: code }
    pipe.sendRoom({ what, bytes: HEAD_BYTES + written, id, ...coded })
  }

  async function endLife({ id, index, what }: Frame): Promise<void> {
    isEnding = true
    const plugin = plugins[index]
    let failure: string | undefined
    try {
      if (plugin === undefined) return
      const end = what === TO_CHILD.destroy ? plugin.destroy : plugin.onShutdown
      if (end !== undefined) await runAs(plugin.name, end)
      if (what === TO_CHILD.destroy) await plugin.dispose?.()
    } catch (error) {
      failure = describe(error)
    } finally {
      // What was logged last must be there before the lane lets go.
      await sender.flushed()
      pipe.send(FROM_CHILD.done, {
        id,
        index: failure === undefined ? 0 : 1,
        payload: Buffer.from(failure ?? '').subarray(0, MAX_TEXT_BYTES),
      })
    }
  }

  return {
    load,
    call,
    abort,
    endLife,
    needsLoop: () => isEnding || pending.size > 0 || handles.needsLoop(),
    indexed: ({ plugin, ...line }) => ({ ...line, plugin: names.indexOf(plugin) }),
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
