/**
 * WebAssembly modules that are far larger in what they make a reader do than in their bytes. Each is a plugin of the C ABI
 * with one section that is a bomb.
 */
import { constant, I32, ID, PLUGIN, section, store, text, type, u32 } from '../../runtimes/wasm-modules.js'

const HEADER = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00])
type Section = keyof typeof ID
type Sections = Readonly<Partial<Record<Section, Buffer>>>
const ORDER: readonly Section[] = [
  'type',
  'import',
  'function',
  'table',
  'memory',
  'global',
  'export',
  'element',
  'code',
  'data',
  'custom',
]

/** The plugin with these sections; sections of megabytes are never arrays of numbers. */
function bomb(changes: Sections): Uint8Array {
  const parts = ORDER.flatMap((name) => {
    const own = PLUGIN[name]
    const content = changes[name] ?? (own === undefined || own === null ? null : Buffer.from(own))
    return content === null ? [] : [Buffer.from([ID[name], ...u32(content.length)]), content]
  })
  return Buffer.concat([HEADER, ...parts])
}

/** A vector of so many of the same. */
function many(count: number, item: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from(u32(count)), Buffer.alloc(count * item.length, Buffer.from(item))])
}

const repeat = (count: number, item: readonly number[]) => Buffer.alloc(count * item.length, Buffer.from(item))

/** A gate with this body in the place of the plugin's own. */
function gate(instructions: Buffer, locals: readonly number[] = [0]): Sections {
  const init = Buffer.from([0, ...[0x20, 0], ...constant(1), ...store(4), ...constant(0), 0x0b])
  const body = Buffer.concat([Buffer.from(locals), instructions, Buffer.from([...constant(0), 0x0b])])
  return {
    code: Buffer.concat([Buffer.from([2, ...u32(init.length)]), init, Buffer.from(u32(body.length)), body]),
  }
}

const nested = (count: number, opening: readonly number[]) =>
  gate(Buffer.concat([repeat(count, opening), repeat(count, [0x0b])]))
const locals = (count: number) => [1, ...u32(count), I32]
const GATE_TYPES = [...type([I32], [I32]), ...type([I32, I32], [I32])]

/** The plugin as it is: what a lane takes that has no bomb in it. */
export const NO_BOMB = 'no bomb'

export const WASM_BOMBS = {
  [NO_BOMB]: () => bomb({}),
  'millions of types': () => bomb({ type: many(8_000_000, [0x60]) }),
  'types that differ': () =>
    bomb({ type: Buffer.concat([Buffer.from([...u32(300_002), ...GATE_TYPES]), repeat(300_000, type([I32], []))]) }),
  'parameters without end': () =>
    bomb({ type: Buffer.concat([Buffer.from([3, ...GATE_TYPES, 0x60]), many(8_000_000, [I32])]) }),
  'millions of functions': () => bomb({ function: many(8_000_000, [0]) }),
  'tables without end': () => bomb({ table: many(2_000_000, [0x70, 0, 1]) }),
  'nine hundred thousand globals': () => bomb({ global: many(900_000, [I32, 1, 0x41, 0, 0x0b]) }),
  'exports without end': () => bomb({ export: many(2_000_000, [0, 0, 0]) }),
  'elements without end': () => bomb({ element: Buffer.concat([Buffer.from([1, 1, 0]), many(9_000_000, [1])]) }),
  'element segments without end': () => bomb({ element: many(2_000_000, [1, 0, 0]) }),
  'data segments without end': () => bomb({ data: many(2_000_000, [1, 0]) }),
  'a custom section a byte': () => Buffer.concat([bomb({}), repeat(2_000_000, section(ID.custom, [0]))]),
  'millions of nested blocks': () => bomb(nested(2_400_000, [0x02, 0x40])),
  'as many nested blocks as may be': () => bomb(nested(9_000, [0x02, 0x40])),
  'loops beside many locals': () => bomb(gate(repeat(100_000, [0x03, 0x40, 0x0b]), locals(10_000))),
  'branches beside many locals': () =>
    bomb(
      gate(
        Buffer.concat([Buffer.from([0x02, 0x40]), repeat(50_000, [0x41, 0, 0x0d, 0]), Buffer.from([0x0b])]),
        locals(10_000),
      ),
    ),
  'a stack of millions': () => bomb(gate(Buffer.concat([repeat(3_000_000, [0x41, 0]), repeat(3_000_000, [0x1a])]))),
  'tables of branches': () =>
    bomb(
      gate(repeat(100, [0x02, 0x40, 0x41, 0, 0x0e, ...u32(60_000), ...Array.from({ length: 60_001 }, () => 0), 0x0b])),
    ),
  'a count that the file does not keep': () => bomb({ type: Buffer.from(u32(2 ** 32 - 1)) }),
  'a name as long as the file': () =>
    bomb({
      import: Buffer.concat([
        Buffer.from([1, ...u32(20_000_000)]),
        Buffer.alloc(20_000_000, 0x61),
        Buffer.from([1, 0x61, 0, 0]),
      ]),
    }),
  /** Grows its memory to the limit, writes all of it, and traps: each call gets a new instance. */
  'a full memory for each call': () =>
    bomb(
      gate(
        Buffer.from([
          ...constant(600),
          ...[0x40, 0, 0x1a],
          ...constant(0),
          ...constant(1),
          ...[0x3f, 0],
          ...constant(16),
          ...[0x74, 0xfc, 0x0b, 0],
          0x00,
        ]),
      ),
    ),
  'a name that is no text': () => bomb({ import: Buffer.from([1, 4, 0xff, 0xff, 0xff, 0xff, ...text('x'), 0, 0]) }),
} as const satisfies Readonly<Record<string, () => Uint8Array>>

export type WasmBomb = keyof typeof WASM_BOMBS
