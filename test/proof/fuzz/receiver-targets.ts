/**
 * What a stranger brings, as the side that receives it reads it: WebAssembly modules (damaged ones, and sound ones with absurd
 * numbers), and the frames of a child process. Out comes what is bounded, or a refusal; nothing is made by a number in it.
 */
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { HookringError } from 'hookring'
import type { ChildListener, ChildProcess } from '../../../dist/worker/process/child-process.js'
import {
  BadFrame,
  FROM_CHILD,
  HEAD_BYTES,
  type MostBytes,
  PipeFrameReader,
  writeHead,
} from '../../../dist/worker/process/frames.js'
import { Link } from '../../../dist/worker/process/link.js'
import { boundWasm, WasmRefusal, WasmTooLarge } from '../../../dist/worker/runtimes/wasm/binary.js'
import { ID, PLUGIN, section, u32, wasmModule } from '../../runtimes/wasm-modules.js'
import { type Target, tryInput } from './target.js'

const BOUNDS = { memoryMb: 8, memoryPages: 128, tableEntries: 1000, tables: 4 }
const SLOW_MS = 2_000

interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: Readonly<Record<string, Growing>> }
}
interface Growing {
  grow?(more: number): number
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly

/** Refusals as the runtime tells them. */
function bounded(bytes: Uint8Array): Uint8Array {
  try {
    return boundWasm(bytes, BOUNDS).bytes
  } catch (error) {
    if (!(error instanceof WasmRefusal)) throw error
    throw new HookringError(error instanceof WasmTooLarge ? 'WASM_TOO_LARGE' : 'PLUGIN_IMPORT_FAILED', error.message)
  }
}

/** What V8 takes can grow no further than the bounds. */
function checkGrowth(bytes: Uint8Array): void {
  let exports: Readonly<Record<string, Growing>>
  try {
    exports = new Instance(new Module(bytes)).exports
  } catch {
    // V8 refuses it, or its start function traps.
    return
  }
  for (const { grow } of Object.values(exports)) {
    let grew = false
    try {
      grow?.call(exports.memory ?? exports, BOUNDS.memoryPages)
      grew = grow !== undefined && exports.memory !== undefined
    } catch {
      // As it should be.
    }
    if (grew) throw new Error('its memory grew past the bound')
  }
}

const WHOLE = wasmModule(PLUGIN)
const wasmBytes: Target<{ edits: [number, number][]; cut: number; bytes: Uint8Array | null }> = {
  name: 'wasm bytes',
  group: 'decoders',
  share: 4,
  cases: fc.record({
    edits: fc.array(fc.tuple(fc.nat(WHOLE.length - 1), fc.nat(255)), { maxLength: 5 }),
    cut: fc.oneof({ weight: 4, arbitrary: fc.constant(WHOLE.length) }, { weight: 1, arbitrary: fc.nat(WHOLE.length) }),
    bytes: fc.option(fc.uint8Array({ maxLength: 200 }), { freq: 10 }),
  }),
  check({ edits, cut, bytes }, tally) {
    const module = bytes === null ? WHOLE.slice(0, cut) : Uint8Array.from([...WHOLE.slice(0, 8), ...bytes])
    for (const [at, byte] of edits) if (at < module.length) module[at] = byte
    const result = tryInput(tally, () => bounded(module))
    if ('value' in result) checkGrowth(result.value)
    if (tally.slowestMs > SLOW_MS) throw new Error(`reading it took ${tally.slowestMs.toFixed(0)} ms`)
  },
}

const absurd = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 1_000, 65_536, 1_000_000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1),
  fc.nat(0xffff_ffff),
)
const ENTRIES = {
  type: [0x60, 0, 0],
  function: [0],
  table: [0x70, 0, 1],
  global: [0x7f, 1, 0x41, 0, 0x0b],
  export: [0, 0, 0],
  element: [1, 0, 0],
  code: [2, 0, 0x0b],
  data: [1, 0],
} as const
type Counted = keyof typeof ENTRIES

/** A section says one number and has another; what it has are sound entries. */
const wasmNumbers: Target<{ section: Counted; says: number; has: number; inner: number }> = {
  name: 'wasm numbers',
  group: 'decoders',
  share: 0.5,
  cases: fc.record({
    section: fc.constantFrom(...(Object.keys(ENTRIES) as Counted[])),
    says: absurd,
    has: fc.oneof(fc.nat(20), fc.nat(2_000)),
    inner: absurd,
  }),
  check({ section: name, says, has, inner }, tally) {
    const entries = Buffer.alloc(has * ENTRIES[name].length, Buffer.from(ENTRIES[name]))
    const before = process.memoryUsage()
    for (const tail of [[], u32(inner)]) {
      const content = [...u32(says), ...entries, ...tail]
      tryInput(tally, () => bounded(Uint8Array.from([...wasmModule({ [name]: content }), ...section(ID.custom, [0])])))
    }
    const { arrayBuffers, heapTotal } = process.memoryUsage()
    const grownMb = (arrayBuffers - before.arrayBuffers + heapTotal - before.heapTotal) / 1e6
    if (grownMb > 100) throw new Error(`reading it took ${grownMb.toFixed(0)} MB`)
    if (tally.slowestMs > SLOW_MS) throw new Error(`reading it took ${tally.slowestMs.toFixed(0)} ms`)
  },
}

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.json({ maxDepth: 4 }).map((text) => Buffer.from(text)),
  fc
    .record({
      lines: fc.array(
        fc.record({
          level: fc.constantFrom('info', 'error', 'loud'),
          plugin: fc.oneof(fc.nat(3), fc.string()),
          message: fc.string(),
          fields: fc.option(fc.jsonValue({ maxDepth: 3 }), { nil: undefined }),
        }),
        { maxLength: 4 },
      ),
      dropped: fc.oneof(fc.integer(), fc.string()),
    })
    .map((batch) => Buffer.from(JSON.stringify(batch))),
  fc.nat(20_000).map((levels) => Buffer.from('['.repeat(levels))),
)
const frame = fc.record({
  what: fc.oneof(
    { weight: 6, arbitrary: fc.constant(FROM_CHILD.log) },
    { weight: 6, arbitrary: fc.constantFrom(...Object.values(FROM_CHILD)) },
    { weight: 1, arbitrary: fc.nat(255) },
  ),
  id: fc.oneof(fc.nat(3), fc.nat(0xffff_ffff)),
  /** Added to what it has. */
  lies: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: absurd }),
  payload,
})

const childFrames: Target<{
  frames: { what: number; id: number; lies: number; payload: Uint8Array }[]
  chunkBytes: number
}> = {
  name: 'child frames',
  group: 'borders',
  share: 4,
  cases: fc.record({
    frames: fc.array(frame, { minLength: 1, maxLength: 3 }),
    chunkBytes: fc.integer({ min: 1, max: 400 }),
  }),
  async check({ frames, chunkBytes }, tally) {
    const stream = Buffer.concat(
      frames.map(({ what, id, lies, payload }) => {
        const head = Buffer.alloc(HEAD_BYTES)
        writeHead(head, 0, { what, id, bytes: (HEAD_BYTES + payload.length + lies) >>> 0 })
        return Buffer.concat([head, payload])
      }),
    )
    const seen = received(stream, chunkBytes)
    tryInput(tally, () => {
      if (seen.losses.length > 0) throw new HookringError('PLUGIN_CRASHED', seen.losses[0] as string)
    })
    if (seen.losses.length > 1) throw new Error(`it was lost ${seen.losses.length} times`)
    if (seen.losses.some((message) => message.length > 8192)) throw new Error('what is said of its loss is too long')
    const deep = seen.lines.find((line) => /[[{]{14}/.test(JSON.stringify(line)))
    if (deep !== undefined)
      throw new Error(`a log line got through that is nested deeply: ${JSON.stringify(deep).slice(0, 200)}`)
    // What it does later, as in acknowledging log lines, throws here and not in somebody else's turn.
    await new Promise((resolve) => setImmediate(resolve))
  },
}

/** A lane's end of the pipe, with nobody at the other. */
function received(stream: Buffer, chunkBytes: number): { losses: string[]; lines: object[] } {
  const losses: string[] = []
  const lines: object[] = []
  let reader!: PipeFrameReader
  let listener!: ChildListener
  const child = {
    pipe: new PassThrough().resume(),
    listen(next: ChildListener, mostBytes: MostBytes) {
      listener = next
      reader = new PipeFrameReader(mostBytes, (one) => next.frame(one))
    },
    kill() {},
  } as unknown as ChildProcess
  const link = new Link({
    child,
    hangMs: 1_000,
    maxReplyBytes: 10_000,
    onLog: (line) => void lines.push(line),
    onDropped() {},
    onLost: ({ message }) => void losses.push(message),
  })
  link.load(0, Buffer.alloc(0)).catch(() => {})
  try {
    for (let at = 0; at < stream.length; at += chunkBytes) reader.push(stream.subarray(at, at + chunkBytes))
  } catch (error) {
    if (!(error instanceof BadFrame)) throw error
    listener.broke(error.message)
  }
  return { losses, lines }
}

export const RECEIVER_TARGETS: readonly Target[] = [wasmBytes, wasmNumbers, childFrames] as readonly Target[]
