/**
 * Reads a WebAssembly module's sections before V8 does, and writes it anew with bounds that its author may have left out:
 * the maximum of its memory, and those of its tables. Strict: what this file does not know is refused, so that nothing
 * can be grown that has no bound here. Pure; format as of the WebAssembly core specification 2.0, "Binary Format".
 */

export interface WasmBounds {
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
  readonly memoryPages: number
}

/** What the module has that it must not, or lacks. */
export class WasmRefusal extends Error {
  override readonly name = 'WasmRefusal'
}

const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
const SECTION = { custom: 0, type: 1, import: 2, function: 3, table: 4, memory: 5 } as const
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

/** @throws WasmRefusal */
export function boundWasm(bytes: Uint8Array, bounds: WasmBounds): BoundedWasm {
  if (MAGIC_AND_VERSION.some((byte, at) => bytes[at] !== byte)) {
    throw new WasmRefusal('it is not a WebAssembly module of version 1')
  }
  const types: WasmFunctionType[] = []
  const imports: WasmImport[] = []
  const functions: WasmFunctionType[] = []
  const parts: Uint8Array[] = [Uint8Array.from(MAGIC_AND_VERSION)]
  let memoryPages: number | null = null
  let last = -1
  const file = cursorOver(bytes, MAGIC_AND_VERSION.length, bytes.length, 'the module')

  while (file.left() > 0) {
    const start = file.at()
    const id = file.byte()
    const body = file.part(file.u32(), `section ${id}`)
    // Names and debugging information: nothing runs by them.
    if (id === SECTION.custom) continue
    const order = SECTION_ORDER.indexOf(id)
    if (order === -1) throw new WasmRefusal(`it has a section of kind ${id}, which is not supported here`)
    if (order <= last) throw new WasmRefusal(`its section ${id} is out of order`)
    last = order
    switch (id) {
      case SECTION.type:
        types.push(...body.vector(() => functionType(body)))
        break
      case SECTION.import:
        imports.push(...body.vector(() => importOf(body, types)))
        for (const { type } of imports) if (type !== undefined) functions.push(type)
        break
      case SECTION.function:
        for (const index of body.vector(() => body.u32())) functions.push(typeAt(types, index))
        break
      case SECTION.table:
        parts.push(section(id, boundTables(body, bounds)))
        break
      case SECTION.memory:
        memoryPages = boundMemory(body, bounds)
        parts.push(section(id, [1, 1, ...u32(memoryPages), ...u32(bounds.memoryPages)]))
        break
      default:
        body.skip()
    }
    body.end()
    if (id !== SECTION.table && id !== SECTION.memory) parts.push(bytes.subarray(start, file.at()))
  }
  if (memoryPages === null) throw new WasmRefusal('it has no memory of its own')
  return { bytes: Buffer.concat(parts), imports, functions, memoryPages }
}

function functionType(body: Cursor): WasmFunctionType {
  if (body.byte() !== FUNCTION_TYPE) {
    throw new WasmRefusal('it declares types of the garbage collection proposal, which no memory limit holds')
  }
  const types = () =>
    body.vector(() => {
      const type = TYPES[body.byte()]
      if (type === undefined) throw new WasmRefusal('it has a function of a type that is not supported here')
      return type
    })
  return { parameters: types(), results: types() }
}

function typeAt(types: readonly WasmFunctionType[], index: number): WasmFunctionType {
  const type = types[index]
  if (type === undefined) throw new WasmRefusal(`it has a function of type ${index}, and no such type`)
  return type
}

function importOf(body: Cursor, types: readonly WasmFunctionType[]): WasmImport {
  const module = body.name()
  const name = body.name()
  const kind = IMPORT_KINDS[body.byte()]
  if (kind === 'function') return { module, name, kind, type: typeAt(types, body.u32()) }
  // Nothing but functions is given, so it ends here.
  throw new WasmRefusal(`it imports the ${kind ?? 'thing'} ${module}.${name}`)
}

function boundTables(body: Cursor, bounds: WasmBounds): number[] {
  const tables = body.vector(() => {
    const type = body.byte()
    if (type !== 0x70 && type !== 0x6f) throw new WasmRefusal('it has a table of a type that is not supported here')
    const { min, max } = limits(body, 'table')
    if (min > bounds.tableEntries) {
      throw new WasmRefusal(`it has a table of ${min} entries; ${bounds.tableEntries} are the most`)
    }
    return [type, 1, ...u32(min), ...u32(Math.min(max, bounds.tableEntries))]
  })
  if (tables.length > bounds.tables) {
    throw new WasmRefusal(`it has ${tables.length} tables; ${bounds.tables} are the most`)
  }
  return [...u32(tables.length), ...tables.flat()]
}

/** The pages that the module starts with. */
function boundMemory(body: Cursor, bounds: WasmBounds): number {
  const count = body.u32()
  if (count !== 1) throw new WasmRefusal(`it has ${count} memories; one is what it may have`)
  const { min } = limits(body, 'memory')
  if (min > bounds.memoryPages) {
    throw new WasmRefusal(
      `its memory starts with ${min} pages of 64 KiB, and ${bounds.memoryPages} are the most; raise limits.memoryMb`,
    )
  }
  return min
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

interface Cursor {
  at(): number
  left(): number
  byte(): number
  u32(): number
  name(): string
  vector<T>(element: () => T): T[]
  /** The next bytes, to be read by themselves. */
  part(bytes: number, what: string): Cursor
  skip(): void
  /** @throws WasmRefusal unless all has been read. */
  end(): void
}

function cursorOver(bytes: Uint8Array, start: number, end: number, what: string): Cursor {
  let at = start
  const cursor: Cursor = {
    at: () => at,
    left: () => end - at,
    byte() {
      if (at >= end) throw new WasmRefusal(`${what} ends too early, at byte ${end}`)
      const byte = bytes[at] as number
      at += 1
      return byte
    },
    u32() {
      let value = 0
      for (let scale = 1; ; scale *= 128) {
        const byte = cursor.byte()
        value += (byte & 127) * scale
        if (value >= 2 ** 32) break
        if (byte < 128) return value
        if (scale >= 2 ** 28) break
      }
      throw new WasmRefusal(`${what} holds a number that is no u32, before byte ${at}`)
    },
    name() {
      const length = cursor.u32()
      const text = cursor.part(length, what)
      const from = text.at()
      return Buffer.from(bytes.buffer, bytes.byteOffset + from, length).toString('utf8')
    },
    vector(element) {
      const count = cursor.u32()
      // Every element takes a byte at least.
      if (count > end - at) throw new WasmRefusal(`${what} ends too early, at byte ${end}`)
      return Array.from({ length: count }, element)
    },
    part(length, name) {
      if (length > end - at) throw new WasmRefusal(`${name} ends too early: the file is cut off at byte ${end}`)
      at += length
      return cursorOver(bytes, at - length, at, name)
    },
    skip() {
      at = end
    },
    end() {
      if (at !== end) throw new WasmRefusal(`${what} holds more than it says, from byte ${at}`)
    },
  }
  return cursor
}
