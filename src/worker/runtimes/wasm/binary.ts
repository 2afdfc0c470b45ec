/**
 * Reads a WebAssembly module's sections before V8 does, counts what they would cost (budget.ts), and writes the module anew
 * with bounds that its author may have left out: the maximum of its memory, and those of its tables. Strict: what this file
 * does not know is refused, so that nothing can be grown that has no bound here. Pure; format as of the WebAssembly core
 * specification 2.0, "Binary Format".
 */
import { type BudgetOptions, MOST, PRICE, WasmBudget, WasmTooLarge } from './budget.js'
import { type Arity, CodeReader } from './code-cost.js'
import { Cursor, WasmRefusal } from './cursor.js'

export { WasmTooLarge } from './budget.js'
export { WasmRefusal } from './cursor.js'

export interface WasmBounds extends BudgetOptions {
  readonly memoryPages: number
  readonly tableEntries: number
  readonly tables: number
}

export type WasmType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'funcref' | 'externref'

export interface WasmFunctionType {
  readonly parameters: readonly WasmType[]
  readonly results: readonly WasmType[]
}

export interface WasmImport {
  readonly module: string
  readonly name: string
  readonly kind: 'function' | 'table' | 'memory' | 'global' | 'tag'
  /** Of a function. */
  readonly type: WasmFunctionType | undefined
}

export interface BoundedWasm {
  readonly bytes: Uint8Array
  readonly imports: readonly WasmImport[]
  /** By index, imported functions first. */
  readonly functions: readonly WasmFunctionType[]
  /** That the memory starts with. */
  readonly memoryPages: number
}

const PAGE_BYTES = 65_536
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
const SECTION = {
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
  dataCount: 12,
} as const
/** In the order in which they must stand. Tags (13) are left out: what a throw allocates, nothing here bounds. */
const SECTION_ORDER = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11]
const TYPES: Readonly<Record<number, WasmType>> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  112: 'funcref',
  111: 'externref',
}
const IMPORT_KINDS = ['function', 'table', 'memory', 'global', 'tag'] as const
const FUNCTION_TYPE = 0x60
const MAX_NAME_BYTES = 256
const EXPORTED_TABLE = 1
/** No compiler gives an export this name. */
const TABLE_EXPORT = 'hookring:table'

/** @throws WasmRefusal, WasmTooLarge */
export function boundWasm(bytes: Uint8Array, bounds: WasmBounds): BoundedWasm {
  return new WasmReader(bytes, bounds).read()
}
class WasmReader {
  readonly #bytes: Uint8Array
  readonly #bounds: WasmBounds
  readonly #budget: WasmBudget
  readonly #types: WasmFunctionType[] = []
  readonly #imports: WasmImport[] = []
  readonly #functions: WasmFunctionType[] = []
  /** The same, as the code's reader asks for them. */
  readonly #typeArities: Arity[] = []
  readonly #functionArities: Arity[] = []
  readonly #parts: Uint8Array[] = [Uint8Array.from(MAGIC_AND_VERSION)]
  /** Where among the parts the memory section goes, and what it starts with. */
  #memory: { readonly at: number; readonly pages: number } | null = null
  #hasTable = false

  constructor(bytes: Uint8Array, bounds: WasmBounds) {
    this.#bytes = bytes
    this.#bounds = bounds
    this.#budget = new WasmBudget(bounds)
  }

  read(): BoundedWasm {
    const bytes = this.#bytes
    if (MAGIC_AND_VERSION.some((byte, at) => bytes[at] !== byte)) {
      throw new WasmRefusal('it is not a WebAssembly module of version 1')
    }
    this.#budget.charge('file in bytes', bytes.length, Number.POSITIVE_INFINITY, PRICE.fileByte)
    const file = new Cursor(bytes, MAGIC_AND_VERSION.length, bytes.length, 'the module')
    let last = -1
    let customs = 0
    while (file.left > 0) {
      const start = file.at
      const id = file.byte()
      const body = file.part(file.u32(), `section ${id}`)
      if (id === SECTION.custom) {
        // Names and debugging information: nothing runs by them.
        customs += 1
        this.#budget.charge('custom sections', customs, MOST.customSections, 0)
        continue
      }
      const order = SECTION_ORDER.indexOf(id)
      if (order === -1) throw new WasmRefusal(`it has a section of kind ${id}, which is not supported here`)
      if (order <= last) throw new WasmRefusal(`its section ${id} is out of order`)
      last = order
      const isRewritten = this.#section(id, body)
      body.done()
      if (!isRewritten) this.#parts.push(bytes.subarray(start, file.at))
    }
    return this.#bounded()
  }

  /** @returns whether it has been written anew */
  #section(id: number, body: Cursor): boolean {
    switch (id) {
      case SECTION.type:
        this.#typeSection(body)
        return false
      case SECTION.import:
        this.#importSection(body)
        return false
      case SECTION.function:
        this.#functionSection(body)
        return false
      case SECTION.table:
        this.#parts.push(section(id, this.#tables(body)))
        return true
      case SECTION.export:
        this.#parts.push(this.#exports(body))
        return true
      case SECTION.memory:
        this.#memory = { at: this.#parts.length, pages: this.#memoryPages(body) }
        return true
      case SECTION.code:
        this.#codeSection(body)
        return false
      default:
        this.#counted(id, body)
        body.skip(body.left)
        return false
    }
  }

  #bounded(): BoundedWasm {
    const memory = this.#memory
    if (memory === null) throw new WasmRefusal('it has no memory of its own')
    const { memoryPages } = this.#bounds
    const left = Math.min(memoryPages, Math.floor(this.#budget.leftBytes / PAGE_BYTES))
    if (memory.pages > left) {
      throw new WasmTooLarge(
        `its memory starts with ${memory.pages} pages of 64 KiB, and ${left} are left beside what V8 takes for its code; raise limits.memoryMb`,
      )
    }
    this.#parts.splice(memory.at, 0, section(SECTION.memory, [1, 1, ...u32(memory.pages), ...u32(left)]))
    return {
      bytes: Buffer.concat(this.#parts),
      imports: this.#imports,
      functions: this.#functions,
      memoryPages: memory.pages,
    }
  }

  #typeSection(body: Cursor): void {
    const count = body.count()
    this.#budget.charge('types', count, MOST.types, PRICE.type)
    for (let left = count; left > 0; left -= 1) {
      if (body.byte() !== FUNCTION_TYPE) {
        throw new WasmRefusal('it declares types of the garbage collection proposal, which no memory limit holds')
      }
      const parameters = this.#values(body, 'parameters of a type', MOST.parameters)
      const results = this.#values(body, 'results of a type', MOST.results)
      this.#types.push({ parameters, results })
      this.#typeArities.push({ parameters: parameters.length, results: results.length })
    }
  }

  #values(body: Cursor, what: string, most: number): WasmType[] {
    const count = body.count()
    this.#budget.charge(what, count, most, PRICE.value)
    const values: WasmType[] = []
    for (let left = count; left > 0; left -= 1) {
      const type = TYPES[body.byte()]
      if (type === undefined) throw new WasmRefusal('it has a function of a type that is not supported here')
      values.push(type)
    }
    return values
  }

  #importSection(body: Cursor): void {
    const count = body.count()
    this.#budget.charge('imports', count, MOST.imports, PRICE.import)
    for (let left = count; left > 0; left -= 1) {
      const module = body.name(MAX_NAME_BYTES)
      const name = body.name(MAX_NAME_BYTES)
      const kind = IMPORT_KINDS[body.byte()]
      // Nothing but functions is given, so it ends here.
      if (kind !== 'function') throw new WasmRefusal(`it imports the ${kind ?? 'thing'} ${module}.${name}`)
      this.#imports.push({ module, name, kind, type: this.#declare(body.u32()) })
    }
  }

  #functionSection(body: Cursor): void {
    const count = body.count()
    this.#budget.charge('functions', count, MOST.functions, PRICE.function)
    for (let left = count; left > 0; left -= 1) this.#declare(body.u32())
  }

  #declare(index: number): WasmFunctionType {
    const type = this.#types[index]
    if (type === undefined) throw new WasmRefusal(`it has a function of type ${index}, and no such type`)
    this.#functions.push(type)
    this.#functionArities.push(this.#typeArities[index] as Arity)
    return type
  }

  #tables(body: Cursor): number[] {
    const { tables, tableEntries } = this.#bounds
    const count = body.count()
    this.#budget.charge('tables', count, tables, PRICE.table)
    const written = u32(count)
    this.#hasTable = count > 0
    for (let left = count; left > 0; left -= 1) {
      const type = body.byte()
      if (type !== 0x70 && type !== 0x6f) throw new WasmRefusal('it has a table of a type that is not supported here')
      const { min, max } = limits(body, 'table')
      const most = Math.min(max, tableEntries)
      this.#budget.charge('table entries', Math.max(min, most), tableEntries, PRICE.tableEntry)
      written.push(type, 1, ...u32(min), ...u32(most))
    }
    return written
  }

  /** The pages that the module starts with. */
  #memoryPages(body: Cursor): number {
    const count = body.u32()
    if (count !== 1) throw new WasmRefusal(`it has ${count} memories; one is what it may have`)
    const { min } = limits(body, 'memory')
    const { memoryPages } = this.#bounds
    if (min > memoryPages) {
      throw new WasmTooLarge(
        `its memory starts with ${min} pages of 64 KiB, and ${memoryPages} are the most; raise limits.memoryMb`,
      )
    }
    return min
  }

  /**
   * The vtable's functions are entries of a table, which compilers' defaults (Rust, TinyGo, clang) do not export: where none
   * is, the first one is exported here.
   */
  #exports(body: Cursor): Uint8Array {
    const count = body.count()
    this.#budget.charge('exports', count, MOST.exports, PRICE.export)
    const start = body.at
    let hasTable = !this.#hasTable
    for (let left = count; left > 0; left -= 1) {
      body.skip(body.u32())
      const kind = body.byte()
      body.u32()
      hasTable ||= kind === EXPORTED_TABLE
    }
    const entries = this.#bytes.subarray(start, body.at)
    const added = hasTable ? [] : [TABLE_EXPORT.length, ...Buffer.from(TABLE_EXPORT), EXPORTED_TABLE, 0]
    return section(SECTION.export, [...u32(hasTable ? count : count + 1), ...entries, ...added])
  }

  /** Sections that are passed through: what V8 makes of their entries, and of the expressions in them. */
  #counted(id: number, body: Cursor): void {
    const budget = this.#budget
    const bytes = body.left
    switch (id) {
      case SECTION.global:
        budget.charge('globals', body.count(), MOST.globals, PRICE.global)
        budget.charge('global section in bytes', bytes, Number.POSITIVE_INFINITY, PRICE.entryByte)
        return
      case SECTION.element:
        budget.charge('element segments', body.count(), MOST.elementSegments, PRICE.elementSegment)
        budget.charge('element section in bytes', bytes, Number.POSITIVE_INFINITY, PRICE.entryByte)
        return
      case SECTION.data:
        this.#dataSection(body)
        return
      case SECTION.dataCount:
        budget.charge('data segments', body.u32(), MOST.dataSegments, 0)
    }
  }

  /** The segments' contents cost what the file's bytes do; the expressions before them more. */
  #dataSection(body: Cursor): void {
    const count = body.count()
    this.#budget.charge('data segments', count, MOST.dataSegments, PRICE.dataSegment)
    for (let left = count; left > 0; left -= 1) {
      const flags = body.u32()
      if (flags > 2) throw new WasmRefusal(`it has a data segment of kind ${flags}, which is not supported here`)
      if (flags === 2) body.u32()
      if (flags !== 1) {
        const start = body.at
        skipExpression(body)
        this.#budget.charge('offset of a data segment in bytes', body.at - start, 1024, PRICE.entryByte)
      }
      body.skip(body.u32())
    }
  }

  /** V8 compiles functions one by one, several at a time: what they take meanwhile is that of the two costliest. */
  #codeSection(body: Cursor): void {
    const count = body.count()
    const own = this.#functions.length - this.#imports.length
    if (count !== own) throw new WasmRefusal(`it has ${own} functions, and bodies of ${count}`)
    const reader = new CodeReader({
      typeArity: (index) => this.#typeArities[index],
      functionArity: (index) => this.#functionArities[index],
    })
    let most = 0
    let second = 0
    for (let index = this.#imports.length; index < this.#functions.length; index += 1) {
      const code = body.part(body.u32(), `function ${index}`)
      const arity = this.#functionArities[index] as Arity
      const { stays, passes } = reader.read(code, arity, this.#budget.leftBytes)
      if (passes > this.#budget.leftBytes) this.#budget.chargeBytes(`code section, function ${index}`, passes)
      this.#budget.chargeBytes('code section', stays)
      if (passes > most) {
        second = most
        most = passes
      } else second = Math.max(second, passes)
    }
    this.#budget.chargeBytes('code section', most + second)
  }
}

const END = 0x0b

/** Of a constant: numbers, globals, references, and sums of them. */
function skipExpression(body: Cursor): void {
  for (;;) {
    const code = body.byte()
    switch (code) {
      case END:
        return
      case 0x41:
      case 0x42:
      case 0x23:
        body.leb(10)
        break
      // Addition, subtraction and multiplication, of 32 and 64 bits.
      case 0x6a:
      case 0x6b:
      case 0x6c:
      case 0x7c:
      case 0x7d:
      case 0x7e:
        break
      default:
        throw new WasmRefusal(`it has a data segment at an offset that is not supported here (0x${code.toString(16)})`)
    }
  }
}

function limits(body: Cursor, what: string): { min: number; max: number } {
  const flags = body.byte()
  if (flags > 1) throw new WasmRefusal(`its ${what} is shared or of 64 bits, which is not supported here`)
  const min = body.u32()
  return { min, max: flags === 1 ? body.u32() : Number.POSITIVE_INFINITY }
}

function section(id: number, body: readonly number[]): Uint8Array {
  return Uint8Array.from([id, ...u32(body.length), ...body])
}

/** LEB128. */
function u32(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest % 128) | 128)
  }
}
