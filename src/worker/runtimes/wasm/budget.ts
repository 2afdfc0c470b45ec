/**
 * What a module may cost before V8 is given it. Each construct has a count that V8 itself would refuse to go beyond, and a
 * price: the bytes that V8 and this runtime take for one, measured with Node.js 20 and rounded up. Prices are added up while
 * the file is read, and a module whose sum is past its budget goes no further. What is left of the budget is the memory's. Pure.
 */
import { WasmRefusal } from './cursor.js'

/** The module is larger than its limits: WASM_TOO_LARGE. */
export class WasmTooLarge extends WasmRefusal {
  override readonly name = 'WasmTooLarge'
}

/** As V8 has them (wasm-limits.h), or lower. */
export const MOST = {
  // The time that V8 takes for types that differ grows with the square of their number.
  types: 5_000,
  parameters: 1_000,
  results: 1_000,
  imports: 1_000,
  functions: 1_000_000,
  globals: 1_000_000,
  exports: 100_000,
  elementSegments: 100_000,
  dataSegments: 100_000,
  customSections: 10_000,
  locals: 50_000,
  functionBytes: 7_654_321,
  branchTargets: 65_520,
  /** V8 has no such limit; compilers nest by the hundred. */
  nesting: 10_000,
} as const

/** Bytes for one. */
export const PRICE = {
  /** Of the file: as it was read, as it is written anew, and V8's copy. */
  fileByte: 3,
  type: 192,
  /** A parameter or a result of a type. */
  value: 32,
  import: 1024,
  function: 384,
  table: 1024,
  /** Of its largest size. */
  tableEntry: 32,
  global: 128,
  export: 1024,
  elementSegment: 192,
  dataSegment: 96,
  /** Of sections whose entries are expressions or indexes: one may be as short as a byte. */
  entryByte: 32,
} as const

const MIB = 1024 * 1024
/** Above what compilers make of a plugin, debugging information included. */
const MAX_FILE_BYTES = 32 * MIB
/** How much more than its limit a module's memory and what V8 makes of the module may be together. */
const SLACK = 1.3

/** A larger file is not even read. */
export function mostFileBytes(memoryMb: number): number {
  return Math.min(MAX_FILE_BYTES, Math.floor((memoryMb * MIB * SLACK) / PRICE.fileByte))
}

export interface BudgetOptions {
  /** limits.memoryMb of the plugin. */
  readonly memoryMb: number
}

export class WasmBudget {
  readonly #memoryMb: number
  readonly #mostBytes: number
  #bytes = 0

  constructor({ memoryMb }: BudgetOptions) {
    this.#memoryMb = memoryMb
    this.#mostBytes = Math.floor(memoryMb * MIB * SLACK)
  }

  /** Bytes that nothing has been charged for. */
  get leftBytes(): number {
    return this.#mostBytes - this.#bytes
  }

  /** @throws WasmTooLarge when there are more than V8 takes, or than the budget has room for */
  charge(what: string, count: number, most: number, price: number): void {
    if (count > most) throw new WasmTooLarge(`its ${what}: ${count}, and ${most} are the most`)
    const bytes = count * price
    if (bytes > this.leftBytes) this.#isSpent(what, count, Math.floor(Math.max(0, this.leftBytes) / Math.max(1, price)))
    this.#bytes += bytes
  }

  /** What cannot be said as a number of things. @throws WasmTooLarge */
  chargeBytes(what: string, bytes: number): void {
    if (bytes > this.leftBytes) {
      const [takes, has] = [bytes, Math.max(0, this.leftBytes)].map((some) => `${(some / MIB).toFixed(1)} MiB`)
      throw new WasmTooLarge(`its ${what}: V8 takes ${takes} for it, and ${has} are left of ${this.#named()}`)
    }
    this.#bytes += bytes
  }

  #isSpent(what: string, count: number, most: number): never {
    throw new WasmTooLarge(`its ${what}: ${count}, and ${most} are the most with ${this.#named()}`)
  }

  #named(): string {
    return `limits.memoryMb ${this.#memoryMb}; raise it`
  }
}
