/** What is read of a WebAssembly module before V8 compiles it, and the bounds that are written into it. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boundWasm, WasmRefusal } from '../../dist/worker/runtimes/wasm/binary.js'
import { ACTS, EXAMPLES } from './c-abi-plugins.js'
import { F64, HEADER, I32, I64, ID, PLUGIN, section, text, type, u32, vector, wasmModule } from './wasm-modules.js'

interface Api {
  Module: (new (bytes: Uint8Array) => object) & { exports(module: object): { name: string }[] }
  Instance: new (module: object, imports?: object) => { exports: Record<string, unknown> }
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: Api }).WebAssembly

const BOUNDS = { memoryMb: 64, memoryPages: 100, tableEntries: 1000, tables: 4 }

interface Exports {
  memory: { grow(pages: number): number; buffer: ArrayBuffer }
  __indirect_function_table: { grow(entries: number): number; length: number }
}

/** The module as it runs with its bounds. */
function bounded(bytes: Uint8Array): Exports {
  const instance = new Instance(new Module(boundWasm(bytes, BOUNDS).bytes))
  return instance.exports as unknown as Exports
}

describe('the memory of a module', () => {
  it.each([
    ['no maximum', [0x00, 1]],
    ['a maximum above the bound', [0x01, 1, ...u32(65_536)]],
    ['a maximum below the bound, beside which the host needs pages', [0x01, 1, 1]],
  ])('that declares %s can grow to the bound and no further', (_, memory) => {
    const exports = bounded(wasmModule({ memory: vector(memory) }))
    expect(() => exports.memory.grow(100)).toThrow(RangeError)
    expect(exports.memory.grow(99)).toBe(1)
    expect(() => exports.memory.grow(1)).toThrow(RangeError)
  })

  it('that starts above the bound is refused, with what to raise', () => {
    expect(() => boundWasm(wasmModule({ memory: vector([0x00, ...u32(101)]) }), BOUNDS)).toThrow(
      /starts with 101 pages of 64 KiB, and 100 are the most; raise limits\.memoryMb/,
    )
  })
})

describe('the table of a module', () => {
  it.each([
    ['no maximum', [0x70, 0x00, 2]],
    ['a maximum above the bound', [0x70, 0x01, 2, ...u32(1_000_000)]],
  ])('that declares %s can grow to the bound and no further', (_, table) => {
    const exports = bounded(wasmModule({ table: vector(table) }))
    const found = exports.__indirect_function_table
    expect(() => found.grow(999)).toThrow(RangeError)
    expect(found.grow(998)).toBe(2)
    expect(found.length).toBe(1000)
  })

  it('keeps a maximum that is lower', () => {
    const exports = bounded(wasmModule({ table: vector([0x70, 0x01, 2, 3]) }))
    expect(() => exports.__indirect_function_table.grow(2)).toThrow(RangeError)
  })
})

describe('a module is refused', () => {
  const refused: [string, Uint8Array, RegExp][] = [
    ['that is none', Uint8Array.from(Buffer.from('#!/bin/sh')), /not a WebAssembly module/],
    ['that is empty', new Uint8Array(0), /not a WebAssembly module/],
    ['of another version', Uint8Array.from([...HEADER.slice(0, 4), 2, 0, 0, 0]), /version 1/],
    ['without a memory', wasmModule({ memory: null }), /no memory of its own/],
    ['with two memories', wasmModule({ memory: vector([0, 1], [0, 1]) }), /has 2 memories/],
    ['with a shared memory', wasmModule({ memory: vector([0x03, 1, 2]) }), /shared or of 64 bits/],
    ['with a memory of 64 bits', wasmModule({ memory: vector([0x04, 1]) }), /shared or of 64 bits/],
    [
      'with a table that is too long',
      wasmModule({ table: vector([0x70, 0x00, ...u32(1001)]) }),
      /table entries: 1001, and 1000/,
    ],
    [
      'with many tables',
      wasmModule({ table: vector(...Array(5).fill([0x70, 0, 2])) }),
      /tables: 5, and 4 are the most/,
    ],
    ['with a table of other things', wasmModule({ table: vector([0x6e, 0, 2]) }), /table of a type/],
    ['with a struct type', wasmModule({ type: vector([0x5f, 1, I32, 0]) }), /garbage collection/],
    ['with an array type', wasmModule({ type: vector([0x5e, I32, 1]) }), /garbage collection/],
    ['with a recursive type', wasmModule({ type: vector([0x4e, 1, ...type([], [])]) }), /garbage collection/],
    ['with a type of another kind', wasmModule({ type: vector(type([0x6e], [])) }), /function of a type/],
    ['with exceptions', wasmModule({ tag: vector([0, 0]) }), /section of kind 13/],
    [
      'with a memory from elsewhere',
      wasmModule({ import: vector([...text('env'), ...text('memory'), 2, 0, 1]) }),
      /imports the memory env\.memory/,
    ],
    [
      'with a table from elsewhere',
      wasmModule({ import: vector([...text('env'), ...text('t'), 1, 0x70, 0, 1]) }),
      /imports the table env\.t/,
    ],
    [
      'with a global from elsewhere',
      wasmModule({ import: vector([...text('env'), ...text('g'), 3, I32, 0]) }),
      /imports the global env\.g/,
    ],
    ['with a function of no type', wasmModule({ function: vector([0], [7]) }), /type 7/],
    [
      'with a section twice',
      Uint8Array.from([...wasmModule(), ...section(ID.memory, vector([0, 1]))]),
      /section 5 is out of order/,
    ],
    [
      'whose section holds more than it says',
      wasmModule({ memory: [...vector([0, 1]), 0] }),
      /holds more than it says/,
    ],
    ['whose section holds less than it says', wasmModule({ memory: [1, 0] }), /section 5 ends too early/],
    ['with a number of more than 32 bits', wasmModule({ memory: [1, 0, 0xff, 0xff, 0xff, 0xff, 0x7f] }), /no u32/],
    ['with a number that does not end', wasmModule({ memory: [1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00] }), /no u32/],
    ['with more functions than bytes', wasmModule({ function: u32(2 ** 32 - 1) }), /section 3 ends too early/],
  ]
  it.each(refused)('%s', (_, bytes, says) => {
    expect(() => boundWasm(bytes, BOUNDS)).toThrow(WasmRefusal)
    expect(() => boundWasm(bytes, BOUNDS)).toThrow(says)
  })

  it('at whatever byte it is cut off', () => {
    const whole = wasmModule()
    const compiles = (bytes: Uint8Array) => {
      try {
        new Module(boundWasm(bytes, BOUNDS).bytes)
        return true
      } catch {
        return false
      }
    }
    expect(compiles(whole)).toBe(true)
    for (let length = 0; length < whole.length; length++) expect(compiles(whole.subarray(0, length))).toBe(false)
  })
})

describe('of a module is told', () => {
  it('the type of each function, imported ones first', () => {
    const { functions, imports } = boundWasm(
      wasmModule({
        type: vector(type([I32], [I32]), type([I32, I32], [I32]), type([I64, F64], [])),
        import: vector([...text('hookring'), ...text('log'), 0, 2]),
      }),
      BOUNDS,
    )
    expect(functions).toEqual([
      { parameters: ['i64', 'f64'], results: [] },
      { parameters: ['i32'], results: ['i32'] },
      { parameters: ['i32', 'i32'], results: ['i32'] },
    ])
    expect(imports).toEqual([{ module: 'hookring', name: 'log', kind: 'function', type: functions[0] }])
  })

  it('nothing of custom sections, which are left out', () => {
    const custom = section(ID.custom, [...text('name'), 1, 2, 3])
    const bytes = Uint8Array.from([...HEADER, ...custom, ...wasmModule().subarray(8), ...custom])
    expect(boundWasm(bytes, BOUNDS).bytes).toEqual(boundWasm(wasmModule(), BOUNDS).bytes)
  })

  it.each([ACTS.wasm, EXAMPLES.limiter.wasm, EXAMPLES.auditor.wasm])('what V8 has of it too: %s', (file) => {
    const bytes = readFileSync(file)
    const { bytes: rewritten, memoryPages } = boundWasm(bytes, BOUNDS)
    expect(Module.exports(new Module(rewritten))).toEqual(Module.exports(new Module(bytes)))
    expect(memoryPages).toBeGreaterThan(0)
  })
})

it('damaged modules are refused, or run within the bounds', () => {
  const whole = wasmModule(PLUGIN)
  const damage = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(damage, (changes) => {
      const bytes = Uint8Array.from(whole)
      for (const [at, byte] of changes) bytes[at] = byte
      let exports: Exports
      try {
        exports = bounded(bytes)
      } catch {
        return
      }
      const { memory, __indirect_function_table: table } = exports
      if (memory !== undefined) expect(() => memory.grow(100)).toThrow()
      if (table !== undefined) expect(() => table.grow(1000)).toThrow()
    }),
    { numRuns: 3000, seed: 5 },
  )
})
