/**
 * WebAssembly modules made byte by byte, for tests of what no compiler would write. A plugin that is as small as can be,
 * any section of which a test replaces.
 */

/** Section ids. */
export const ID = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  tag: 13,
} as const

export const I32 = 0x7f
export const I64 = 0x7e
export const F64 = 0x7c

/** LEB128, unsigned. */
export function u32(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...u32(Math.floor(value / 128))]
}

export const vector = (...items: number[][]) => [...u32(items.length), ...items.flat()]
export const text = (value: string) => [...u32(Buffer.byteLength(value)), ...Buffer.from(value)]
export const type = (parameters: number[], results: number[]) => [
  0x60,
  ...vector(...parameters.map((one) => [one])),
  ...vector(...results.map((one) => [one])),
]
/** Instructions without locals; `end` is added. */
export const body = (...instructions: number[]) => [...u32(instructions.length + 2), 0, ...instructions, 0x0b]
export const section = (id: number, content: number[]) => [id, ...u32(content.length), ...content]

/** Instructions. */
export const unreachable = [0x00]
export const constant = (value: number) => [0x41, ...signed(value)]
export const local = (index: number) => [0x20, index]
export const call = (index: number) => [0x10, index]
/** i32.store at the address and the value below it on the stack. */
export const store = (offset: number) => [0x36, 2, ...u32(offset)]

/** LEB128, signed, of 32 bits. */
function signed(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 7) {
    const byte = rest & 127
    if (rest >> 7 === 0 && (byte & 64) === 0) return [...bytes, byte]
    if (rest >> 7 === -1 && (byte & 64) !== 0) return [...bytes, byte]
    bytes.push(byte | 128)
  }
}

export type Sections = Readonly<Partial<Record<keyof typeof ID, number[] | null>>>

/**
 * A plugin whose on_message_enqueue (function 1, entry 1 of the table) rejects, with no reason. Function 0 is
 * qpc_plugin_init. Types: 0 (i32) -> i32, 1 (i32, i32) -> i32.
 */
export const PLUGIN: Sections = {
  type: vector(type([I32], [I32]), type([I32, I32], [I32])),
  function: vector([0], [1]),
  table: vector([0x70, 0x00, 2]),
  memory: vector([0x00, 1]),
  export: vector(
    [...text('memory'), 2, 0],
    [...text('qpc_plugin_init'), 0, 0],
    [...text('__indirect_function_table'), 1, 0],
  ),
  // Entries from 1 on: function 1.
  element: vector([0x00, ...constant(1), 0x0b, ...vector([1])]),
  // Init stores 1 in the vtable's second word.
  code: vector(body(...local(0), ...constant(1), ...store(4), ...constant(0)), body(...constant(1))),
}

const ORDER = [
  'type',
  'import',
  'function',
  'table',
  'memory',
  'tag',
  'global',
  'export',
  'start',
  'element',
  'code',
  'data',
  'custom',
] as const

export const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

/** The plugin with some of its sections replaced, or left out (null). */
export function wasmModule(changes: Sections = {}): Uint8Array {
  const sections: Sections = { ...PLUGIN, ...changes }
  return Uint8Array.from([
    ...HEADER,
    ...ORDER.flatMap((name) => {
      const content = sections[name]
      return content === undefined || content === null ? [] : section(ID[name], content)
    }),
  ])
}
