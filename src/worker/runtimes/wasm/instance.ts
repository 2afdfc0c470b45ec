/**
 * One instance of a wasm plugin: its memory, with the host's part in it, and its functions as the vtable named them.
 *
 *   | what the module has  |  a page  | what init allocated | the host's room | what the plugin grows later ...
 *   0                      ^ vtable: read once, after init  ^ events, from here on
 *
 * The host's parts are pages that it grows for itself, so they lie beyond what the plugin's own allocator was given: the
 * vtable's while init runs, the room's afterwards. The plugin can write to them all the same. Nothing is ever read back
 * from there but the vtable, and nothing in it is taken for more than a number. The lane's thread only.
 */
import { HookringError } from '../../../contracts/errors.js'
import { describe } from '../../../plugin/setup.js'
import {
  bytesOf,
  type CType,
  INIT_EXPORT,
  layoutOf,
  SLOT_NAMES,
  SLOTS,
  type SlotName,
  VTABLE,
  WASM32,
} from '../c-abi/layout.js'
import type { CMemory, CValue } from '../c-abi/memory.js'
import { type CFunction, MAX_REASON_BYTES } from '../c-abi/plugin.js'
import { PAGE_BYTES, WASM, type WasmFunction, type WasmMemory, type WasmModule, type WasmTable } from './api.js'
import type { WasmFunctionType, WasmType } from './binary.js'
import { WASI_MODULE, WasiExit, wasiFunctions } from './wasi.js'

export interface WasmPlugin {
  readonly module: WasmModule
  /** Names of exports. */
  readonly memory: string
  readonly table: string | null
  /** The functions' types, by index. */
  readonly types: readonly WasmFunctionType[]
}

/** What the module's imports do. */
export interface WasmHost {
  log(level: number, text: string): void
  nowMs(): number
  /** A line that it wrote to descriptor 1 or 2. */
  print(descriptor: 1 | 2, line: string): void
}

export interface WasmInstance {
  readonly functions: Readonly<Record<SlotName, CFunction | null>>
  /** @throws WasmFault when the plugin's memory has no place for it */
  room(bytes: number): CMemory
  readReason(address: CValue): string | null
}

/** What stops a plugin from being started or called; the message goes on behind the plugin's name. */
export class WasmFault extends HookringError {
  constructor(message: string) {
    super('PLUGIN_FAILED', message)
  }
}

const MAX_LOG_BYTES = 8192

/** Runs the module's start function and qpc_plugin_init. @throws WasmFault */
export function startInstance(plugin: WasmPlugin, host: WasmHost): WasmInstance {
  const exports = instantiate(plugin, host)
  const memory = exports[plugin.memory] as WasmMemory
  const table = plugin.table === null ? null : (exports[plugin.table] as WasmTable)
  begin(exports)
  const vtableAt = growBy(memory, PAGE_BYTES)
  const init = exports[INIT_EXPORT] as WasmFunction
  checkType(INIT_EXPORT, init, { parameters: ['i32'], results: ['i32'] }, plugin.types)
  const code = inPlugin(INIT_EXPORT, () => init(vtableAt))
  if (code !== 0) throw new WasmFault(`${INIT_EXPORT} returned ${String(code)}`)
  const functions = readVtable(memory, vtableAt, table, plugin.types)
  const room = createRoom(memory)
  return {
    functions,
    room,
    readReason: (address) => readText(memory, Number(address) >>> 0),
  }
}

/** Constructors of static objects, in a module that is built as a reactor; `main` of one that is built as a command. */
function begin({ _initialize: initialize, _start: start }: Readonly<Record<string, unknown>>): void {
  if (typeof initialize === 'function') inPlugin('_initialize', () => initialize())
  else if (typeof start === 'function') {
    inPlugin('_start', () => {
      try {
        start()
      } catch (error) {
        // How `main` ends. Its functions are called all the same.
        if (!(error instanceof WasiExit) || error.code !== 0) throw error
      }
    })
  }
}

function instantiate({ module, memory: memoryName }: WasmPlugin, host: WasmHost): Readonly<Record<string, unknown>> {
  let memory: WasmMemory | null = null
  const hookring = {
    log(level: number, at: number, bytes: number) {
      if (memory === null) throw new WasmFault('hookring.log was called before the module had started')
      const start = at >>> 0
      const length = bytes >>> 0
      if (start + length > memory.buffer.byteLength) {
        throw new WasmFault('hookring.log was given a text outside of the memory')
      }
      host.log(level, Buffer.from(memory.buffer, start, Math.min(length, MAX_LOG_BYTES)).toString('utf8'))
    },
    clock_ms: host.nowMs,
  }
  return inPlugin('its start function', () => {
    const wasi = wasiFunctions({ memory: () => memory, print: host.print })
    const { exports } = new WASM.Instance(module, { hookring, [WASI_MODULE]: wasi })
    memory = exports[memoryName] as WasmMemory
    return exports
  })
}

/** The address of what was grown. */
function growBy(memory: WasmMemory, bytes: number): number {
  const pages = Math.ceil(bytes / PAGE_BYTES)
  try {
    return memory.grow(pages) * PAGE_BYTES
  } catch {
    const has = memory.buffer.byteLength / PAGE_BYTES
    throw new WasmFault(
      `its memory has ${has} pages of 64 KiB and no room for ${pages} of the host's; raise limits.memoryMb`,
    )
  }
}

function createRoom(memory: WasmMemory): (bytes: number) => CMemory {
  let bytes = PAGE_BYTES
  let at = growBy(memory, bytes)
  let current = over(memory, at, bytes)

  function extend(wanted: number): void {
    const isLast = at + bytes === memory.buffer.byteLength
    const missing = Math.ceil((isLast ? wanted - bytes : wanted) / PAGE_BYTES) * PAGE_BYTES
    const grown = growBy(memory, missing)
    // Behind pages that the plugin has grown meanwhile the room begins anew; what it was is not given back.
    if (!isLast) at = grown
    bytes = isLast ? bytes + missing : missing
  }

  return (wanted) => {
    const isTooSmall = wanted > bytes
    if (isTooSmall) extend(wanted)
    // Without a length: the plugin has grown its memory since, and the views are of the memory before.
    if (isTooSmall || current.u8.length === 0) current = over(memory, at, bytes)
    return current
  }
}

function over({ buffer }: WasmMemory, at: number, bytes: number): CMemory {
  return {
    u8: new Uint8Array(buffer, at, bytes),
    view: new DataView(buffer, at, bytes),
    address: at,
    addressLow: at,
    addressHigh: 0,
  }
}

function readVtable(
  memory: WasmMemory,
  at: number,
  table: WasmTable | null,
  types: readonly WasmFunctionType[],
): WasmInstance['functions'] {
  const { offsets, sizeBytes } = layoutOf(VTABLE, WASM32)
  const view = new DataView(memory.buffer, at, sizeBytes)
  const word = (name: string) => view.getUint32(offsets[name] as number, true)
  const userData = word('user_data')
  const functions = SLOT_NAMES.map((name) => {
    const index = word(name)
    return [name, index === 0 ? null : bind(name, slotFunction(name, index, table, types), userData)] as const
  })
  return Object.fromEntries(functions) as Record<SlotName, CFunction | null>
}

function slotFunction(
  name: SlotName,
  index: number,
  table: WasmTable | null,
  types: readonly WasmFunctionType[],
): WasmFunction {
  if (table === null) {
    throw new WasmFault('it has no function table, by which its hooks could be called')
  }
  const found = index < table.length ? table.get(index) : null
  if (found === null) throw new WasmFault(`its ${name} is entry ${index} of the function table, where no function is`)
  checkType(name, found, slotType(name), types)
  return found
}

/** JavaScript would convert what does not fit. */
function checkType(
  name: string,
  found: WasmFunction,
  wanted: WasmFunctionType,
  types: readonly WasmFunctionType[],
): void {
  const type = types[Number(found.name)]
  if (type !== undefined && show(type) === show(wanted)) return
  const has = type === undefined ? 'a function from elsewhere' : show(type)
  throw new WasmFault(`its ${name} is ${has}, and must be ${show(wanted)}`)
}

function slotType(name: SlotName): WasmFunctionType {
  const { parameters, result } = SLOTS[name]
  const userData: CType = 'pointer'
  return {
    parameters: [userData, ...parameters].map(typeOf),
    results: result === null ? [] : [typeOf(result)],
  }
}

function typeOf(type: CType): WasmType {
  return bytesOf(type, WASM32) === 8 ? 'i64' : 'i32'
}

export function show({ parameters, results }: WasmFunctionType): string {
  return `(${parameters.join(', ')}) -> (${results.join(', ')})`
}

/** By count, since a call with other arguments than the function has is slower. */
function bind(name: SlotName, call: WasmFunction, userData: number): CFunction {
  type N = number
  switch (SLOTS[name].parameters.length) {
    case 0:
      return () => call(userData)
    case 1:
      return (a) => call(userData, a as N)
    case 2:
      return (a, b) => call(userData, a as N, b as N)
    default:
      return (a, b, c, d) => call(userData, a as N, b as N, c as N, d as N)
  }
}

/** Null when it starts outside, or the memory ends before it does. */
function readText({ buffer }: WasmMemory, at: number): string | null {
  if (at >= buffer.byteLength) return null
  const most = Math.min(MAX_REASON_BYTES, buffer.byteLength - at)
  const text = Buffer.from(buffer, at, most)
  const length = text.indexOf(0)
  if (length === -1 && most < MAX_REASON_BYTES) return null
  return text.toString('utf8', 0, length === -1 ? most : length)
}

/** Runs the plugin's code; what ends it is told by the function's name. @throws WasmFault */
function inPlugin<T>(where: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw faultOf(where, error)
  }
}

export function faultOf(where: string, error: unknown): WasmFault {
  const isTrap = error instanceof WASM.RuntimeError || error instanceof WasmFault || error instanceof WasiExit
  const what = isTrap ? error.message : error instanceof RangeError ? 'stack overflow' : describe(error)
  return new WasmFault(`trap in ${where}: ${what}`)
}
