/** The part of WASI that WebAssembly plugins have: what its functions do, where they stop, and that modules built for it load. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { WASI_TYPES, WasiExit, wasiFunctions } from '../../dist/worker/runtimes/wasm/wasi.js'
import { refusalOf, until } from '../support/lab.js'
import { message, missing, open, scratch } from './c-abi-plugins.js'
import {
  body,
  call,
  constant,
  I32,
  local,
  PLUGIN,
  type Sections,
  store,
  text,
  type,
  vector,
  wasmModule,
} from './wasm-modules.js'

const PAGE = 65_536
const [SUCCESS, BAD_DESCRIPTOR, FAULT, INVALID] = [0, 8, 21, 28]

function scene() {
  const buffer = new ArrayBuffer(PAGE)
  const printed: [number, string][] = []
  const functions = wasiFunctions({
    memory: () => ({ buffer, grow: () => 0 }),
    print: (descriptor, line) => void printed.push([descriptor, line]),
  }) as unknown as Record<string, (...values: (number | bigint)[]) => number>
  const view = new DataView(buffer)
  /** fd_write of one text. */
  const write = (fd: number, words: string) => {
    const bytes = Buffer.from(words)
    new Uint8Array(buffer).set(bytes, 1024)
    view.setUint32(0, 1024, true)
    view.setUint32(4, bytes.length, true)
    return functions.fd_write?.(fd, 0, 1, 8)
  }
  return { functions, view, printed, write }
}

describe('fd_write', () => {
  it('hands on whole lines, and says what it took', () => {
    const { write, printed, view } = scene()
    expect(write(1, 'first half, ')).toBe(SUCCESS)
    expect(printed).toEqual([])
    expect(write(1, 'second half\nand more')).toBe(SUCCESS)
    expect(write(2, 'to stderr\n')).toBe(SUCCESS)
    expect(view.getUint32(8, true)).toBe(10)
    expect(printed).toEqual([
      [1, 'first half, second half'],
      [2, 'to stderr'],
    ])
  })

  it('cuts a line that does not end', () => {
    const { write, printed } = scene()
    for (let i = 0; i < 10; i += 1) write(1, 'x'.repeat(4096))
    expect(printed.length).toBeGreaterThan(2)
    for (const [, line] of printed) expect(line.length).toBeLessThanOrEqual(8192)
  })

  it.each([
    ['another descriptor', [3, 0, 1, 8], BAD_DESCRIPTOR],
    ['vectors outside of the memory', [1, PAGE - 4, 1, 8], FAULT],
    ['more vectors than anyone needs', [1, 0, 2 ** 30, 8], INVALID],
    ['a negative count', [1, 0, -1, 8], INVALID],
    ['a place for the count outside of the memory', [1, 0, 0, -1], FAULT],
  ])('refuses %s', (_, values, code) => {
    expect(scene().functions.fd_write?.(...(values as number[]))).toBe(code)
  })

  it('refuses a text outside of the memory', () => {
    const { functions, view, printed } = scene()
    view.setUint32(0, PAGE - 2, true)
    view.setUint32(4, 100, true)
    expect(functions.fd_write?.(1, 0, 1, 8)).toBe(FAULT)
    expect(printed).toEqual([])
  })
})

it('clocks and random bytes are written within the memory only', () => {
  const { functions, view } = scene()
  expect(functions.clock_time_get?.(0, 1n, 16)).toBe(SUCCESS)
  expect(Number(view.getBigUint64(16, true) / 1_000_000n)).toBeGreaterThan(1_600_000_000_000)
  expect(functions.clock_time_get?.(0, 1n, PAGE - 4)).toBe(FAULT)
  expect(functions.clock_time_get?.(2, 1n, 16)).toBe(INVALID)
  expect(functions.random_get?.(0, PAGE)).toBe(SUCCESS)
  expect(functions.random_get?.(1, PAGE)).toBe(FAULT)
  expect(functions.random_get?.(-1, -1)).toBe(FAULT)
})

it('there are no files, no folders, no environment and no arguments', () => {
  const { functions, view } = scene()
  expect(functions.fd_prestat_get?.(3, 0)).toBe(BAD_DESCRIPTOR)
  expect(functions.path_open?.(3, 0, 0, 0, 0, 0n, 0n, 0, 0)).toBe(76)
  view.setUint32(32, 7, true)
  expect(functions.environ_sizes_get?.(32, 36)).toBe(SUCCESS)
  expect(view.getUint32(32, true)).toBe(0)
})

it('proc_exit ends what called it', () => {
  expect(() => scene().functions.proc_exit?.(3)).toThrow(WasiExit)
})

it('has a function for every type, and a type for every function', () => {
  expect(Object.keys(scene().functions).sort()).toEqual(Object.keys(WASI_TYPES).sort())
})

/** A plugin that imports fd_write (function 0) and proc_exit (1); its init and its gate are 2 and 3, `_start` is 4. */
function wasiPlugin({ start, gate }: { start: number[]; gate: number[] }): Sections {
  const data = Buffer.from('from main\n')
  return {
    type: vector(
      type([I32], [I32]),
      type([I32, I32], [I32]),
      type([], []),
      type([I32], []),
      type([I32, I32, I32, I32], [I32]),
    ),
    import: vector(
      [...text('wasi_snapshot_preview1'), ...text('fd_write'), 0, 4],
      [...text('wasi_snapshot_preview1'), ...text('proc_exit'), 0, 3],
    ),
    function: vector([0], [1], [2]),
    table: PLUGIN.table ?? null,
    memory: PLUGIN.memory ?? null,
    export: vector(
      [...text('memory'), 2, 0],
      [...text('qpc_plugin_init'), 0, 2],
      [...text('__indirect_function_table'), 1, 0],
      [...text('_start'), 0, 4],
    ),
    element: vector([0x00, ...constant(1), 0x0b, ...vector([3])]),
    code: vector(
      body(...local(0), ...constant(1), ...store(4), ...constant(0)),
      body(...gate, ...constant(0)),
      body(...start),
    ),
    // The vector at 8, its text at 64.
    data: vector(
      [0, ...constant(8), 0x0b, ...vector([64], [0], [0], [0], [data.length], [0], [0], [0])],
      [0, ...constant(64), 0x0b, data.length, ...data],
    ),
  }
}
const printMain = [...constant(1), ...constant(8), ...constant(1), ...constant(32), ...call(0), 0x1a]
const exits = (code: number) => [...constant(code), ...call(1)]

function plugin(parts: { start: number[]; gate: number[] }): string {
  const file = join(scratch(), 'wasi.wasm')
  writeFileSync(file, wasmModule(wasiPlugin(parts)))
  return file
}

const noClang = missing('clang', 'wasm-ld')
/** What LLVM switches on for WASI by itself, in the versions that Rust and TinyGo have. */
const FEATURES = ['bulk-memory', 'sign-ext', 'nontrapping-fptoint', 'mutable-globals', 'multivalue', 'reference-types']

describe.skipIf(noClang !== null)(
  `a module as Rust and TinyGo build it${noClang === null ? '' : ` (${noClang})`}`,
  () => {
    it('finds all that their standard libraries ask for when they start, and serves', async () => {
      const source = fileURLToPath(new URL('c/wasi-start.c', import.meta.url))
      const from = join(scratch(), 'wasi-start.wasm')
      const args = ['--target=wasm32-wasi', '-O2', '-nostdlib', '-ffreestanding', '-Wl,--no-entry', source, '-o', from]
      const { status, stderr } = spawnSync('clang', [...FEATURES.map((name) => `-m${name}`), ...args], {
        encoding: 'utf8',
      })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      const { hooks, lines } = await open({ plugins: [{ from, trust: 'untrusted' }] })
      expect(await hooks.onMessageEnqueue(message('continues'))).toEqual({ kind: 'continue' })
      await until('its line', () => lines.some((line) => line.message === 'it runs'))
    })
  },
)

describe('a module that is built for WASI', () => {
  it('runs its main, which may end by proc_exit(0), and serves', async () => {
    const from = plugin({ start: [...printMain, ...exits(0)], gate: [] })
    const { hooks, lines } = await open({ plugins: [{ from, trust: 'untrusted' }] })
    expect(await hooks.onMessageEnqueue(message('continues'))).toEqual({ kind: 'continue' })
    await until('its line', () => lines.some((line) => line.message === 'from main'))
  })

  it('need not export its table, as it does not by a compiler’s default', async () => {
    const exports = vector([...text('memory'), 2, 0], [...text('qpc_plugin_init'), 0, 2], [...text('_start'), 0, 4])
    const file = join(scratch(), 'default.wasm')
    writeFileSync(file, wasmModule({ ...wasiPlugin({ start: printMain, gate: exits(0) }), export: exports }))
    const { hooks } = await open({ plugins: [{ from: file, trust: 'untrusted' }] })
    // The gate was found: it exits.
    expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({ failure: { kind: 'error' } })
  })

  it('is refused when its main fails', async () => {
    const from = plugin({ start: exits(3), gate: [] })
    expect(await refusalOf(open({ plugins: [{ from, trust: 'untrusted' }] }, { keep: true }))).toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
      message: expect.stringMatching(/trap in _start: it called proc_exit\(3\)/),
    })
  })

  it('that exits in a hook fails the call as a trap does, and serves again', async () => {
    const from = plugin({ start: [], gate: exits(0) })
    const { hooks } = await open({ plugins: [{ from, trust: 'untrusted' }] })
    for (let call = 0; call < 2; call += 1) {
      expect(await hooks.onMessageEnqueue(message('continues'))).toMatchObject({
        failure: {
          kind: 'error',
          message: expect.stringMatching(/trap in on_message_enqueue: it called proc_exit\(0\)/),
        },
      })
    }
  })
})
