/** What a WebAssembly module may have of each thing: counted while it is read, before V8 or this runtime makes anything of it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { boundWasm, WasmRefusal, WasmTooLarge } from '../../dist/worker/runtimes/wasm/binary.js'
import { WASM_BOMBS } from '../proof/attacks/wasm-bombs.js'
import { runProgram } from '../support/programs.js'
import { ACTS, EXAMPLES, scratch } from './c-abi-plugins.js'
import { body, constant, I32, ID, PLUGIN, type Sections, section, text, type, u32, wasmModule } from './wasm-modules.js'

const bounds = (memoryMb: number) => ({ memoryMb, memoryPages: memoryMb * 16, tableEntries: 65_536, tables: 4 })
const read = (changes: Sections, memoryMb = 8) => boundWasm(wasmModule(changes), bounds(memoryMb))

/** So many of the same, without an array of arrays. */
function repeated(count: number, item: readonly number[]): number[] {
  const all: number[] = [...u32(count)]
  for (let index = 0; index < count; index += 1) for (const byte of item) all.push(byte)
  return all
}

/** One function with these instructions, behind those of the plugin. */
function withCode(instructions: readonly number[], locals: readonly number[] = [0]): Sections {
  const bytes = [...locals, ...instructions, 0x0b]
  const plain = body(...constant(0))
  return {
    type: [3, ...type([I32], [I32]), ...type([I32, I32], [I32]), ...type([], [])],
    function: [3, 0, 1, 2],
    code: [...u32(3), ...plain, ...plain, ...u32(bytes.length), ...bytes],
  }
}

const nested = (count: number, opcode: number) => [
  ...Array.from({ length: count }, () => [opcode, 0x40]).flat(),
  ...Array.from({ length: count }, () => 0x0b),
]
const times = (count: number, ...instructions: number[]) => Array.from({ length: count }, () => instructions).flat()
const thousandLocals = [1, ...u32(1000), I32]

describe('a module is too large', () => {
  const cases: [string, Sections, RegExp][] = [
    ['by types', { type: repeated(5_001, type([], [])) }, /its types: 5001, and 5000 are the most/],
    ['by parameters', { type: [1, 0x60, ...repeated(1_001, [I32]), 0] }, /parameters of a type: 1001, and 1000/],
    ['by results', { type: [1, 0x60, 0, ...repeated(1_001, [I32])] }, /results of a type: 1001, and 1000/],
    [
      'by parameters of all types together',
      { type: repeated(400, [0x60, ...repeated(900, [I32]), 0]) },
      /parameters of a type: 900, and \d+ are the most with limits\.memoryMb 8/,
    ],
    ['by imports', { import: repeated(1_001, [...text('a'), ...text('b'), 0, 0]) }, /imports: 1001, and 1000/],
    ['by functions', { function: repeated(100_000, [0]) }, /functions: 100000, and \d+ are the most with/],
    ['by tables', { table: repeated(5, [0x70, 0, 1]) }, /tables: 5, and 4 are the most/],
    ['by entries of a table', { table: [1, 0x70, 0, ...u32(70_000)] }, /table entries: 70000, and 65536/],
    [
      'by globals',
      { global: repeated(100_000, [I32, 1, 0x41, 0, 0x0b]) },
      /globals: 100000, and \d+ are the most with/,
    ],
    ['by exports', { export: repeated(20_000, [0, 0, 0]) }, /exports: 20000, and \d+ are the most with/],
    ['by element segments', { element: repeated(60_000, [1, 0, 0]) }, /element segments: 60000, and \d+ are/],
    ['by elements', { element: [1, 1, 0, ...repeated(400_000, [0])] }, /element section in bytes: \d+, and \d+ are/],
    ['by data segments', { data: repeated(100_001, [1, 0]) }, /data segments: 100001, and (?:100000|\d+) are the most/],
    [
      'by the offset of a data segment',
      { data: [1, 0, 0x41, 0, ...times(600, 0x41, 0, 0x6a), 0x0b, 0] },
      /offset of a data segment in bytes: 1803, and 1024/,
    ],
    ['by locals', withCode([], [1, ...u32(50_001), I32]), /a function of 50001 locals, and 50000 are the most/],
    ['by nested blocks', withCode(nested(6_000, 0x02)), /code section.*V8 takes .* MiB for it, and .* left of limits/],
    ['by blocks inside each other without end', withCode(nested(10_001, 0x02)), /code section/],
    ['by loops', withCode(times(2_000, 0x03, 0x40, 0x0b)), /code section/],
    [
      'by branches beside many locals',
      withCode([0x02, 0x40, ...times(500, 0x41, 0, 0x0d, 0), 0x0b], thousandLocals),
      /code section/,
    ],
    ['by a table of branches', withCode([0x41, 0, 0x0e, ...u32(65_521), ...times(65_522, 0)]), /code section/],
    ['by calls', withCode(times(20_000, 0x10, 2)), /code section/],
    ['by plain instructions', withCode(times(100_000, 0x01)), /code section/],
    [
      'by a memory that its code leaves no room for',
      { memory: [1, 0, ...u32(128)], ...withCode(times(30_000, 0x01)) },
      /memory starts with 128 pages.*raise limits\.memoryMb/,
    ],
  ]
  it.each(cases)('%s, which is said with both numbers', (_, changes, says) => {
    expect(() => read(changes)).toThrow(WasmTooLarge)
    expect(() => read(changes)).toThrow(says)
  })

  it('by custom sections', () => {
    const custom = section(ID.custom, [0])
    const many = Uint8Array.from([...wasmModule(), ...times(10_001, ...custom)])
    expect(() => boundWasm(many, bounds(64))).toThrow(/custom sections: 10001, and 10000 are the most/)
  })

  it('by its file', () => {
    const file = new Uint8Array(4 * 1024 * 1024)
    file.set(wasmModule())
    expect(() => boundWasm(file, bounds(8))).toThrow(
      /file in bytes: 4194304, and \d+ are the most with limits.memoryMb 8/,
    )
  })
})

describe('a number that the file does not keep', () => {
  it.each([
    ['types', { type: u32(2 ** 31) }],
    ['parameters', { type: [1, 0x60, ...u32(2 ** 31)] }],
    ['functions', { function: u32(2 ** 31) }],
    ['tables', { table: u32(2 ** 31) }],
    ['globals', { global: u32(2 ** 31) }],
    ['exports', { export: u32(2 ** 31) }],
    ['elements', { element: u32(2 ** 31) }],
    ['bodies', { code: u32(2 ** 31) }],
    ['data', { data: u32(2 ** 31) }],
  ] as [string, Sections][])('of %s is refused before anything is made for it', (_, changes) => {
    expect(() => read(changes, 64)).toThrow(WasmRefusal)
  })
})

it('an instruction that nothing here bounds is refused by its code', () => {
  expect(() => read(withCode([0x06, 0x40, 0x0b]))).toThrow(/instruction 0x6, which is not supported/)
  expect(() => read(withCode([0xfb, 0x00, 0x00]))).toThrow(/instruction 0xfb, which is not supported/)
})

it('what is counted leaves the memory less room only when it is more than three tenths of the limit', () => {
  const memoryOf = (sections: Sections) => {
    const { bytes } = read(sections)
    return Buffer.from(bytes).includes(Buffer.from([5, 5, 1, 1, 1, ...u32(128)]))
  }
  expect(memoryOf(PLUGIN)).toBe(true)
  expect(memoryOf(withCode(times(20_000, 0x01)))).toBe(false)
})

it.each([ACTS.wasm, EXAMPLES.limiter.wasm, EXAMPLES.auditor.wasm])(
  'a compiled plugin is far below them: %s',
  (file) => {
    expect(() => boundWasm(readFileSync(file), bounds(8))).not.toThrow()
  },
)

describe('the memory of an instance that has trapped', () => {
  it('is not kept beside that of the next one', async () => {
    const file = join(scratch(), 'full.wasm')
    writeFileSync(file, WASM_BOMBS['a full memory for each call']())
    const { said } = await runProgram('wasm-memory.mjs', [file], 60_000)
    expect(said).toEqual([{ what: 'grown', mb: expect.any(Number), failures: 20 }])
    // The plugin fills 39 MB; its lane takes about 25. With a second memory it was 113.
    expect(said[0]?.mb).toBeLessThan(90)
  })
})
