/**
 * The part of the WebAssembly JavaScript API that the wasm runtime uses: the types of Node.js 20 leave it out.
 */
export interface WasmModule {
  readonly [brand]: 'module'
}
declare const brand: unique symbol

export interface WasmMemory {
  /** Detached, and another one, once the memory has grown. */
  readonly buffer: ArrayBuffer
  /** Pages before. @throws RangeError past the maximum */
  grow(pages: number): number
}

export interface WasmTable {
  readonly length: number
  get(index: number): WasmFunction | null
}

/** Its name is its index in the module. */
export type WasmFunction = (...values: number[]) => number | bigint | undefined

interface WasmExport {
  readonly kind: 'function' | 'global' | 'tag' | 'memory' | 'table'
  readonly name: string
}

interface WasmApi {
  readonly Instance: new (
    module: WasmModule,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Readonly<Record<string, unknown>> }
  readonly Module: { exports(module: WasmModule): WasmExport[] }
  readonly RuntimeError: new (...args: never[]) => Error
  compile(bytes: Uint8Array): Promise<WasmModule>
}

export const WASM = (globalThis as unknown as { readonly WebAssembly: WasmApi }).WebAssembly

export const PAGE_BYTES = 65_536
