/**
 * Runtime `native`: a shared library behind the C ABI, called through koffi. It can do anything that the process can, so
 * it is for plugins that the operator trusts, or stands behind the process boundary.
 *
 * Every lane loads the library and initialises it. The dynamic linker keeps one copy for the process: what a library
 * holds in static memory is shared by all lanes of it, each in its own thread. The lane's thread only.
 */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { endianness } from 'node:os'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type * as koffiModule from 'koffi'
import type { LibraryHandle } from 'koffi'
import { HookringError } from '../../../contracts/errors.js'
import { describe } from '../../../plugin/setup.js'
import { type CType, INIT_EXPORT, LP64, layoutOf, SLOT_NAMES, SLOTS, type SlotName, VTABLE } from '../c-abi/layout.js'
import type { CMemory, CValue } from '../c-abi/memory.js'
import { type CFunction, type CGuest, loadCPlugin, MAX_REASON_BYTES } from '../c-abi/plugin.js'
import type { Runtime } from '../runtime.js'

type Koffi = typeof koffiModule

const FIRST_ROOM_BYTES = 64 * 1024

/** As koffi knows them; addresses as plain numbers, so that it has nothing to look at. */
const KOFFI_TYPES: Readonly<Record<CType, string>> = {
  pointer: 'uintptr_t',
  function: 'uintptr_t',
  size: 'size_t',
  i32: 'int32_t',
  u64: 'uint64_t',
}

export const nativeRuntime: Runtime = {
  load({ plugin, ...place }) {
    return loadCPlugin({ plugin, ...place }, LP64, async ({ name }) => {
      const koffi = await importKoffi(name)
      return startLibrary(koffi, name, fileURLToPath(plugin.url))
    })
  },
}

async function importKoffi(plugin: string): Promise<Koffi> {
  if (process.arch === 'arm' || process.arch === 'ia32' || endianness() !== 'LE') {
    throw new HookringError(
      'PLUGIN_IMPORT_FAILED',
      `plugin ${plugin}: shared libraries are loaded on 64-bit little-endian machines only, this one is ${process.arch}`,
    )
  }
  try {
    return await import('koffi')
  } catch (error) {
    throw new HookringError(
      'KOFFI_MISSING',
      `plugin ${plugin} is a shared library, which takes koffi to load: install it (npm install koffi)`,
      { cause: error },
    )
  }
}

function startLibrary(koffi: Koffi, plugin: string, path: string): CGuest {
  const library = load(koffi, plugin, path)
  try {
    const vtable = memoryOf(koffi, layoutOf(VTABLE, LP64).sizeBytes)
    const code = initOf(library, plugin)(vtable.address)
    if (code === 0) return guestOf(koffi, library, vtable)
    throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${plugin}: ${INIT_EXPORT} returned ${code}`)
  } catch (error) {
    library.unload()
    throw error
  }
}

function load(koffi: Koffi, plugin: string, path: string): LibraryHandle {
  try {
    return koffi.load(spelling(path))
  } catch (error) {
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${plugin}: ${path}: ${describe(error)}`, { cause: error })
  }
}

/**
 * The linker goes by names first: a new file in the place of one that is loaded would be the old one. Every file has its
 * own way to be spelt, in detours that lead nowhere; what is spelt alike is the same file.
 */
function spelling(path: string): string {
  if (process.platform === 'win32') return path
  try {
    const { dev, ino, mtimeMs } = statSync(path)
    const digest = createHash('sha256').update(`${dev} ${ino} ${mtimeMs}`).digest()
    const bits = [...digest.subarray(0, 6)].flatMap((byte) => [...byte.toString(2).padStart(8, '0')])
    const name = basename(path)
    return `${dirname(path)}/${bits.map((bit) => (bit === '1' ? './' : '/')).join('')}${name}`
  } catch {
    // It may be loaded though it may not be looked at; what is wrong with it, loading says.
    return path
  }
}

function initOf(library: LibraryHandle, plugin: string): (vtable: CValue) => number {
  try {
    return library.func(INIT_EXPORT, 'int32_t', ['uintptr_t'])
  } catch (error) {
    throw new HookringError('PLUGIN_NO_EXPORT', `plugin ${plugin}: it exports no function ${INIT_EXPORT}`, {
      cause: error,
    })
  }
}

function guestOf(koffi: Koffi, library: LibraryHandle, vtable: CMemory): CGuest {
  const { offsets } = layoutOf(VTABLE, LP64)
  const word = (name: string) => vtable.view.getBigUint64(offsets[name] as number, true)
  const userData = word('user_data')
  const functions = SLOT_NAMES.map((name) => {
    const address = word(name)
    return [name, address === 0n ? null : bind(koffi, name, address, userData)] as const
  })
  let memory = memoryOf(koffi, FIRST_ROOM_BYTES)
  return {
    functions: Object.fromEntries(functions) as Record<SlotName, CFunction | null>,
    room(bytes) {
      if (bytes > memory.u8.length) memory = memoryOf(koffi, Math.max(bytes, 2 * memory.u8.length))
      return memory
    },
    readReason: (address) => readReason(koffi, BigInt(address)),
    dispose: () => library.unload(),
  }
}

function bind(koffi: Koffi, name: SlotName, address: bigint, userData: bigint): CFunction {
  const { parameters, result } = SLOTS[name]
  const types = (['pointer', ...parameters] as const).map((type) => KOFFI_TYPES[type])
  const prototype = koffi.proto(result === null ? 'void' : KOFFI_TYPES[result], types)
  const call = koffi.decode(address, prototype) as (...values: unknown[]) => CValue | undefined
  // koffi counts its arguments.
  switch (parameters.length as number) {
    case 0:
      return () => call(userData)
    case 1:
      return (a) => call(userData, a)
    case 2:
      return (a, b) => call(userData, a, b)
    default:
      return (a, b, c, d) => call(userData, a, b, c, d)
  }
}

/** The memory of an ArrayBuffer stays where it is for as long as the buffer lives. */
function memoryOf(koffi: Koffi, bytes: number): CMemory {
  const buffer = new ArrayBuffer(bytes)
  const address = koffi.address(buffer)
  return {
    u8: new Uint8Array(buffer),
    view: new DataView(buffer),
    address,
    addressLow: Number(address & 0xffff_ffffn),
    addressHigh: Number(address >> 32n),
  }
}

/** Of memory, as far as it is said to be there: larger pages are a multiple of this. */
const PAGE_BYTES = 4096n
const MS_ASYNC = 1

/**
 * The text at the address: up to its null character, MAX_REASON_BYTES, or the first page that is not there, whichever comes
 * first. A page is read whole or not at all, so what ends within the first one costs no question to the system.
 */
function readReason(koffi: Koffi, address: bigint): string {
  const chunks: Buffer[] = []
  let read = 0
  for (let at = address; read < MAX_REASON_BYTES; ) {
    if (at !== address && !isMapped(koffi, at)) break
    const untilPageEnd = Number(PAGE_BYTES - (at % PAGE_BYTES))
    const chunk = bytesAt(koffi, at, Math.min(untilPageEnd, MAX_REASON_BYTES - read))
    const end = chunk.indexOf(0)
    chunks.push(end === -1 ? chunk : chunk.subarray(0, end))
    if (end !== -1) break
    read += chunk.length
    at += BigInt(chunk.length)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function bytesAt(koffi: Koffi, address: bigint, bytes: number): Buffer {
  return Buffer.from(koffi.decode(address, 'uint8_t', bytes) as Uint8Array)
}

let msync: ((page: bigint, bytes: number, flags: number) => number) | null | undefined

/** Whether there is memory at the beginning of a page. Where the system cannot be asked: no. */
function isMapped(koffi: Koffi, page: bigint): boolean {
  if (msync === undefined) {
    try {
      msync = koffi.load(null).func('msync', 'int', ['uintptr_t', 'size_t', 'int'])
    } catch {
      msync = null
    }
  }
  return msync !== null && msync(page, Number(PAGE_BYTES), MS_ASYNC) === 0
}
