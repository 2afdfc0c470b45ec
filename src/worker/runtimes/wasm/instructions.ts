/**
 * WebAssembly's instructions as far as their cost goes: what stands behind each in the file, and by how much it raises or
 * lowers the stack of operands. Instructions of proposals that nothing here bounds are absent. Data; as of the core
 * specification 2.0 with tail calls, SIMD, relaxed SIMD and atomics.
 */

/** What stands behind an instruction's code. */
export const OPERAND = {
  absent: 0,
  none: 1,
  block: 2,
  index: 3,
  twoIndexes: 4,
  memory: 5,
  branchTable: 6,
  i32: 7,
  i64: 8,
  f32: 9,
  f64: 10,
  types: 11,
  type: 12,
  memoryAndLane: 13,
  lane: 14,
  v128: 15,
} as const

export interface InstructionSet {
  /** One of OPERAND, by code. */
  readonly operands: Uint8Array
  /** Values pushed less values popped, by code. */
  readonly effects: Int8Array
}

export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  miscellaneous: 0xfc,
  vector: 0xfd,
  atomic: 0xfe,
} as const

type Row = readonly [from: number, to: number, operand: keyof typeof OPERAND, effect: number]

const PLAIN = setOf(256, [
  [0x00, 0x01, 'none', 0],
  [0x02, 0x03, 'block', 0],
  [0x04, 0x04, 'block', -1],
  [0x05, 0x05, 'none', 0],
  [0x0b, 0x0b, 'none', 0],
  [0x0c, 0x0c, 'index', 0],
  [0x0d, 0x0d, 'index', -1],
  [0x0e, 0x0e, 'branchTable', -1],
  [0x0f, 0x0f, 'none', 0],
  [0x10, 0x10, 'index', 0],
  [0x11, 0x11, 'twoIndexes', -1],
  [0x12, 0x12, 'index', 0],
  [0x13, 0x13, 'twoIndexes', -1],
  [0x1a, 0x1a, 'none', -1],
  [0x1b, 0x1b, 'none', -2],
  [0x1c, 0x1c, 'types', -2],
  [0x20, 0x20, 'index', 1],
  [0x21, 0x21, 'index', -1],
  [0x22, 0x22, 'index', 0],
  [0x23, 0x23, 'index', 1],
  [0x24, 0x24, 'index', -1],
  [0x25, 0x25, 'index', 0],
  [0x26, 0x26, 'index', -2],
  [0x28, 0x35, 'memory', 0],
  [0x36, 0x3e, 'memory', -2],
  [0x3f, 0x3f, 'index', 1],
  [0x40, 0x40, 'index', 0],
  [0x41, 0x41, 'i32', 1],
  [0x42, 0x42, 'i64', 1],
  [0x43, 0x43, 'f32', 1],
  [0x44, 0x44, 'f64', 1],
  // Comparisons and arithmetic; tests, counts, roots and conversions take one value and give one.
  [0x45, 0xbf, 'none', -1],
  [0x45, 0x45, 'none', 0],
  [0x50, 0x50, 'none', 0],
  [0x67, 0x69, 'none', 0],
  [0x79, 0x7b, 'none', 0],
  [0x8b, 0x91, 'none', 0],
  [0x99, 0x9f, 'none', 0],
  [0xa7, 0xc4, 'none', 0],
  [0xd0, 0xd0, 'type', 1],
  [0xd1, 0xd1, 'none', 0],
  [0xd2, 0xd2, 'index', 1],
])

const MISCELLANEOUS = setOf(18, [
  [0, 7, 'none', 0],
  [8, 8, 'twoIndexes', -3],
  [9, 9, 'index', 0],
  [10, 10, 'twoIndexes', -3],
  [11, 11, 'index', -3],
  [12, 12, 'twoIndexes', -3],
  [13, 13, 'index', 0],
  [14, 14, 'twoIndexes', -3],
  [15, 15, 'index', -1],
  [16, 16, 'index', 1],
  [17, 17, 'index', -3],
])

const VECTOR = setOf(0x114, [
  // Most take two vectors and give one.
  [0x00, 0x113, 'none', -1],
  [0x00, 0x0a, 'memory', 0],
  [0x0b, 0x0b, 'memory', -2],
  [0x0c, 0x0c, 'v128', 1],
  [0x0d, 0x0d, 'v128', -1],
  [0x0f, 0x14, 'none', 0],
  [0x15, 0x16, 'lane', 0],
  [0x17, 0x17, 'lane', -1],
  [0x18, 0x19, 'lane', 0],
  [0x1a, 0x1a, 'lane', -1],
  [0x1b, 0x1b, 'lane', 0],
  [0x1c, 0x1c, 'lane', -1],
  [0x1d, 0x1d, 'lane', 0],
  [0x1e, 0x1e, 'lane', -1],
  [0x1f, 0x1f, 'lane', 0],
  [0x20, 0x20, 'lane', -1],
  [0x21, 0x21, 'lane', 0],
  [0x22, 0x22, 'lane', -1],
  [0x4d, 0x4d, 'none', 0],
  [0x52, 0x52, 'none', -2],
  [0x53, 0x53, 'none', 0],
  [0x54, 0x57, 'memoryAndLane', -1],
  [0x58, 0x5b, 'memoryAndLane', -2],
  [0x5c, 0x5d, 'memory', 0],
  [0x5e, 0x64, 'none', 0],
  [0x67, 0x6a, 'none', 0],
  [0x74, 0x75, 'none', 0],
  [0x7a, 0x7a, 'none', 0],
  [0x7c, 0x81, 'none', 0],
  [0x83, 0x84, 'none', 0],
  [0x87, 0x8a, 'none', 0],
  [0x94, 0x94, 'none', 0],
  [0xa0, 0xa1, 'none', 0],
  [0xa3, 0xa4, 'none', 0],
  [0xa7, 0xaa, 'none', 0],
  [0xc0, 0xc1, 'none', 0],
  [0xc3, 0xc4, 'none', 0],
  [0xc7, 0xca, 'none', 0],
  [0xe0, 0xe3, 'none', 0],
  [0xec, 0xef, 'none', 0],
  [0xf8, 0xff, 'none', 0],
  [0x101, 0x104, 'none', 0],
  [0x105, 0x10c, 'none', -2],
  [0x113, 0x113, 'none', -2],
])

const ATOMIC = setOf(0x4f, [
  [0x00, 0x00, 'memory', -1],
  [0x01, 0x02, 'memory', -2],
  [0x03, 0x03, 'lane', 0],
  [0x10, 0x16, 'memory', 0],
  [0x17, 0x1d, 'memory', -2],
  [0x1e, 0x47, 'memory', -1],
  [0x48, 0x4e, 'memory', -2],
])

/** Later rows have the last word. */
function setOf(size: number, rows: readonly Row[]): InstructionSet {
  const operands = new Uint8Array(size)
  const effects = new Int8Array(size)
  for (const [from, to, operand, effect] of rows) {
    operands.fill(OPERAND[operand], from, to + 1)
    effects.fill(effect, from, to + 1)
  }
  return { operands, effects }
}

export const INSTRUCTIONS = { plain: PLAIN, miscellaneous: MISCELLANEOUS, vector: VECTOR, atomic: ATOMIC }
