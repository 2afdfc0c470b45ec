/**
 * Runtime `wasm`: a WebAssembly module behind the C ABI. The module has a memory of its own that the operator bounds, two
 * functions of the host's, hookring.log and hookring.clock_ms, and as much of WASI as compilers' default targets need to
 * start (wasi.ts). It sees nothing else, so it may be untrusted; a loop in it ends with the lane's thread.
 *
 * An instance that has trapped is not entered again: neither its data nor its stack pointer are what its compiler takes
 * them to be. The next call gets a new instance, whose init has run; its destroy has not, and need not, for the instance
 * held nothing besides its memory. The lane's thread only.
 */

import { type ErrorCode, HookringError } from '../../../contracts/errors.js'
import { LOG_LEVELS } from '../../../contracts/log-levels.js'
import type { PluginLogger } from '../../../plugin/index.js'
import { describe } from '../../../plugin/setup.js'
import { INIT_EXPORT, SLOT_NAMES, type SlotName, WASM32 } from '../c-abi/layout.js'
import { type CFunction, type CGuest, loadCPlugin } from '../c-abi/plugin.js'
import { codeOf } from '../code.js'
import type { PluginPlace, Runtime } from '../runtime.js'
import { PAGE_BYTES, WASM, type WasmModule } from './api.js'
import { type BoundedWasm, boundWasm, type WasmImport, WasmRefusal, WasmTooLarge } from './binary.js'
import { checkWasmFile } from './file-size.js'
import {
  faultOf,
  show,
  startInstance,
  WasmFault,
  type WasmHost,
  type WasmInstance,
  type WasmPlugin,
} from './instance.js'
import { WASI_MODULE, WASI_TYPES } from './wasi.js'

/** The last page stays out, so that no end of anything is past 32 bits. */
const MAX_PAGES = 65_535
const MAX_TABLE_ENTRIES = 65_536
const MAX_TABLES = 4

const IMPORTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  hookring: { log: '(i32, i32, i32) -> ()', clock_ms: '() -> (f64)' },
  [WASI_MODULE]: WASI_TYPES,
}

export const wasmRuntime: Runtime = {
  load(place) {
    return loadCPlugin(place, WASM32, async ({ name, log }) => {
      const compiled = await compile(place)
      const host: WasmHost = {
        log: logTo(log),
        nowMs: () => Date.now(),
        print: (descriptor, line) => log[descriptor === 1 ? 'info' : 'error'](line),
      }
      const first = started(name, compiled, host)
      return guestOf(first, () => startInstance(compiled, host))
    })
  },
}

async function compile(place: PluginPlace): Promise<WasmPlugin> {
  const { plugin } = place
  const refuse = (code: ErrorCode, problem: string, cause?: unknown) =>
    new HookringError(code, `plugin ${plugin.name}: ${problem}`, cause === undefined ? {} : { cause })
  checkWasmFile(place)
  const code = await codeOf(place)
  let bounded: BoundedWasm
  let module: WasmModule
  try {
    const { memoryMb } = plugin
    bounded = boundWasm(code, {
      memoryMb,
      memoryPages: Math.min(MAX_PAGES, Math.floor((memoryMb * 1024 * 1024) / PAGE_BYTES)),
      tableEntries: MAX_TABLE_ENTRIES,
      tables: MAX_TABLES,
    })
    for (const imported of bounded.imports) checkImport(imported)
    module = await WASM.compile(bounded.bytes)
  } catch (error) {
    const problem = error instanceof WasmRefusal ? error.message : `it does not compile: ${describe(error)}`
    throw refuse(error instanceof WasmTooLarge ? 'WASM_TOO_LARGE' : 'PLUGIN_IMPORT_FAILED', problem, error)
  }
  const exports = WASM.Module.exports(module)
  const isThere = (kind: string, name: string) => exports.some((found) => found.kind === kind && found.name === name)
  if (!isThere('function', INIT_EXPORT)) throw refuse('PLUGIN_NO_EXPORT', `it exports no function ${INIT_EXPORT}`)
  const memory = exports.find(({ kind }) => kind === 'memory')
  if (memory === undefined) throw refuse('PLUGIN_NO_EXPORT', 'it does not export its memory')
  const tables = exports.filter(({ kind }) => kind === 'table')
  const table = tables.find(({ name }) => name === '__indirect_function_table') ?? tables[0]
  return { module, memory: memory.name, table: table?.name ?? null, types: bounded.functions }
}

/** @throws WasmRefusal */
function checkImport({ module, name, type }: WasmImport): void {
  const known = Object.hasOwn(IMPORTS, module) ? IMPORTS[module] : undefined
  const wanted = known !== undefined && Object.hasOwn(known, name) ? known[name] : undefined
  if (wanted === undefined) {
    throw new WasmRefusal(
      `it imports ${JSON.stringify(`${module}.${name}`)}, and all there is are hookring.log, hookring.clock_ms and the functions of ${WASI_MODULE}`,
    )
  }
  const has = type === undefined ? '' : show(type)
  if (has !== wanted) throw new WasmRefusal(`it imports ${module}.${name} as ${has}, and it is ${wanted}`)
}

function started(name: string, plugin: WasmPlugin, host: WasmHost): WasmInstance {
  try {
    return startInstance(plugin, host)
  } catch (error) {
    const problem = error instanceof WasmFault ? error.message : describe(error)
    throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${name}: ${problem}`, { cause: error })
  }
}

/** A guest that outlives its instances. */
function guestOf(first: WasmInstance, start: () => WasmInstance): CGuest {
  let instance: WasmInstance | null = first
  // No function in here may refer to `first`: its memory would be kept beside that of whichever instance serves now.
  const offered = slotsOf(first)

  function current(): WasmInstance {
    if (instance !== null) return instance
    const next = start()
    const changed = SLOT_NAMES.find((name) => (next.functions[name] !== null) !== offered.has(name))
    if (changed !== undefined) throw new WasmFault(`started anew after a trap, it has another vtable: ${changed}`)
    instance = next
    return next
  }

  function call(name: SlotName): CFunction | null {
    if (!offered.has(name)) return null
    return (a, b, c, d) => {
      try {
        return (instance as WasmInstance).functions[name]?.(a, b, c, d)
      } catch (error) {
        instance = null
        throw faultOf(name, error)
      }
    }
  }

  /** At the end of its life, one that has trapped has nothing left to end. */
  function end(name: 'destroy' | 'on_shutdown'): CFunction | null {
    const ending = call(name)
    return ending === null ? null : () => (instance === null ? undefined : ending())
  }

  const functions = Object.fromEntries(SLOT_NAMES.map((name) => [name, call(name)])) as Record<
    SlotName,
    CFunction | null
  >
  return {
    functions: { ...functions, destroy: end('destroy'), on_shutdown: end('on_shutdown') },
    // Asked before every hook: here a new instance begins.
    room: (bytes) => current().room(bytes),
    readReason: (address) => (instance as WasmInstance).readReason(address),
  }
}

function slotsOf({ functions }: WasmInstance): ReadonlySet<SlotName> {
  return new Set(SLOT_NAMES.filter((name) => functions[name] !== null))
}

function logTo(log: PluginLogger): WasmHost['log'] {
  return (level, text) => log[LOG_LEVELS[level] ?? 'info'](text)
}
