/**
 * QuickJS itself: the optional package that has it as WebAssembly, compiled once per thread, and the functions of it that
 * a VM uses. The package calls them private and may change them in any version: package.json holds it to one minor
 * version, and nothing outside this folder knows of them. The lane's thread only.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { HookringError } from '../../../contracts/errors.js'
import { describe } from '../../../plugin/setup.js'

const QUICKJS_PACKAGE = '@jitl/quickjs-ng-wasmfile-release-sync'

/** Addresses in the machine's memory: of a runtime, a context, a value, a piece of memory. */
export type Pointer = number

export interface QuickJs {
  HEAPU8: Uint8Array
  callbacks: Callbacks
  cwrap(
    name: string,
    returns: 'number',
    takes: readonly ('number' | 'string' | 'boolean')[],
  ): (...args: unknown[]) => number
  lengthBytesUTF8(text: string): number
  stringToUTF8(text: string, at: Pointer, maxBytes: number): void
  _malloc(bytes: number): Pointer
  _free(at: Pointer): void
  _QTS_NewRuntime(): Pointer
  _QTS_RuntimeSetMemoryLimit(runtime: Pointer, bytes: number): void
  _QTS_RuntimeSetMaxStackSize(runtime: Pointer, bytes: number): void
  _QTS_RuntimeEnableInterruptHandler(runtime: Pointer): void
  _QTS_NewContext(runtime: Pointer, intrinsics: number): Pointer
  _QTS_GetUndefined(): Pointer
  _QTS_NewString(context: Pointer, text: Pointer): Pointer
  _QTS_NewArrayBuffer(context: Pointer, at: Pointer, bytes: number): Pointer
  _QTS_GetString(context: Pointer, value: Pointer): Pointer
  _QTS_FreeCString(context: Pointer, text: Pointer): void
  _QTS_GetProp(context: Pointer, value: Pointer, name: Pointer): Pointer
  _QTS_ArgvGetJSValueConstPointer(argv: Pointer, index: number): Pointer
  _QTS_Call(context: Pointer, fn: Pointer, self: Pointer, argc: number, argv: Pointer): Pointer
  _QTS_ResolveException(context: Pointer, value: Pointer): Pointer
  _QTS_DupValuePointer(context: Pointer, value: Pointer): Pointer
  _QTS_FreeValuePointer(context: Pointer, value: Pointer): void
  _QTS_FreeValuePointerRuntime(runtime: Pointer, value: Pointer): void
  _QTS_PromiseState(context: Pointer, value: Pointer): number
  _QTS_PromiseResult(context: Pointer, value: Pointer): Pointer
  _QTS_IsJobPending(runtime: Pointer): number
  _QTS_ExecutePendingJob(runtime: Pointer, most: number, contextOut: Pointer): Pointer
}

/** What QuickJS calls; the first argument is the package's own. */
export interface Callbacks {
  callFunction(state: unknown, context: Pointer, self: Pointer, argc: number, argv: Pointer, id: number): Pointer
  shouldInterrupt(state: unknown, runtime: Pointer): number
  loadModuleSource(): number
  normalizeModule(): number
  freeHostRef(): void
}

/** A machine of its own, whose memory ends at a bound. */
export interface Started {
  readonly qjs: QuickJs
  readonly bytes: number
}

export interface Machine {
  /** Tells versions apart: images of memory are of one. */
  readonly id: string
  start(memory: { readonly leastBytes: number; readonly mostBytes: number }): Promise<Started>
}

/** What the machine asks for at least. */
const LEAST_PAGES = 256
const PAGE_BYTES = 65_536

/** The part of the WebAssembly API that is used here: the types of Node.js 20 leave it out. */
interface WasmApi {
  readonly Memory: new (pages: { initial: number; maximum: number }) => object
  readonly Instance: new (module: object, imports: object) => object
  compile(bytes: Uint8Array): Promise<object>
}
const WASM = (globalThis as unknown as { readonly WebAssembly: WasmApi }).WebAssembly

type Glue = (options: Record<string, unknown>) => Promise<QuickJs>
let machine: Promise<Machine> | undefined

/** @throws HookringError QUICKJS_MISSING */
export function loadMachine(plugin: string): Promise<Machine> {
  machine ??= load().catch((error: unknown) => {
    machine = undefined
    throw new HookringError(
      'QUICKJS_MISSING',
      `plugin ${plugin}: runtime quickjs needs the package ${QUICKJS_PACKAGE}, install it: npm install ${QUICKJS_PACKAGE} (${describe(error)})`,
      { cause: error },
    )
  })
  return machine
}

async function load(): Promise<Machine> {
  const resolve = createRequire(import.meta.url).resolve
  const [{ default: glue }, bytes] = await Promise.all([
    import('@jitl/quickjs-ng-wasmfile-release-sync/emscripten-module'),
    readFile(resolve(`${QUICKJS_PACKAGE}/wasm`)),
  ])
  const compiled = await WASM.compile(bytes)
  return {
    id: `${QUICKJS_PACKAGE} ${bytes.length}`,
    async start({ leastBytes, mostBytes }) {
      const initial = Math.max(LEAST_PAGES, Math.ceil(leastBytes / PAGE_BYTES))
      const qjs = await (glue as unknown as Glue)({
        wasmMemory: new WASM.Memory({ initial, maximum: Math.max(initial, Math.ceil(mostBytes / PAGE_BYTES)) }),
        instantiateWasm(imports: object, done: (instance: object) => void) {
          done(new WASM.Instance(compiled, imports))
          return {}
        },
        // What it would print is about itself, and its name is nothing of the host's.
        print() {},
        printErr() {},
        thisProgram: 'quickjs',
      })
      return { qjs, bytes: initial * PAGE_BYTES }
    },
  }
}
