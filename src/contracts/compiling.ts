/**
 * What a thread that loads TypeScript asks of the compiler, a thread of the host's, and what it is told. The asking thread
 * waits in `Atomics.wait`: its module hooks must answer at once. Types alone.
 */
import type { ErrorCode } from './errors.js'

/**
 * `esbuild` compiles and knows tsconfig.json; `strip` is what Node.js does itself: it blanks out types, and no more. `none`:
 * there is nothing that compiles, and imports are reported all the same.
 */
export type CompilerKind = 'esbuild' | 'strip' | 'none'

/** One end of a line to the compiler; a thread has one, and may make more of it. */
export interface CompilerLine<Port> {
  readonly kind: CompilerKind
  readonly port: Port
  /** One word, which changes with each answer. */
  readonly answers: Int32Array
  /** Whoever loads says what imports what. */
  readonly reportsImports: boolean
}

export type CompilerRequest<Port> =
  /** `as`: what its module syntax says, or always what `require` takes. */
  | { readonly ask: 'compile'; readonly path: string; readonly as: 'written' | 'commonjs' }
  /** Where an import leads by tsconfig.json and by esbuild's rules, that Node.js does not find. */
  | { readonly ask: 'find'; readonly specifier: string; readonly importer: string }
  /** Has no answer. */
  | ({ readonly ask: 'note' } & ImportReport)
  /** Another line, for another thread. Has no answer. */
  | { readonly ask: 'connect'; readonly port: Port; readonly answers: Int32Array }

/** One file imports another: paths. */
export interface ImportReport {
  readonly importer: string
  readonly imported: string
}

export type ModuleFormat = 'module' | 'commonjs'

export type CompilerAnswer =
  | { readonly is: 'code'; readonly code: string; readonly format: ModuleFormat }
  | { readonly is: 'found'; readonly path: string | null }
  | { readonly is: 'refused'; readonly code: ErrorCode; readonly message: string }

/** Sources that are compiled before Node.js reads them. */
export const COMPILED_SOURCE = /\.(?:[cm]?ts|tsx|jsx)$/
