/**
 * Compiles with what Node.js has itself: types become blanks, so that lines and columns stay what they are. The compiler's
 * thread only.
 */
import * as nodeModule from 'node:module'
import { compileFunction } from 'node:vm'
import { HookringError } from '../../../contracts/errors.js'
import type { CompiledSource, SourceCompiler, SourceToCompile } from './source-store.js'

type Strip = (code: string, options: { readonly mode: 'strip' }) => string

const INSTALL = 'install esbuild, which compiles all of TypeScript'
const HAS_ELEMENTS = /\.[jt]sx$/
const COMMONJS_PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname']

export class StrippingCompiler implements SourceCompiler {
  readonly #strip: Strip

  constructor(strip = (nodeModule as unknown as { stripTypeScriptTypes: Strip }).stripTypeScriptTypes) {
    this.#strip = strip
  }

  async compile({ path, text, as }: SourceToCompile): Promise<CompiledSource> {
    if (HAS_ELEMENTS.test(path)) {
      throw new HookringError('TYPESCRIPT_UNSUPPORTED', `${path}: Node.js reads no JSX by itself: ${INSTALL}`)
    }
    const code = this.#stripped(path, text)
    const format = path.endsWith('.cts') || (!path.endsWith('.mts') && !isModule(code)) ? 'commonjs' : 'module'
    if (format === 'module' && as === 'commonjs') {
      throw new HookringError('TYPESCRIPT_UNSUPPORTED', `${path} has imports or exports, and is required: ${INSTALL}`)
    }
    return { code, format }
  }

  async find(): Promise<null> {
    return null
  }

  #stripped(path: string, text: string): string {
    try {
      return this.#strip(text, { mode: 'strip' })
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const isUnsupported = code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX'
      throw new HookringError(
        isUnsupported ? 'TYPESCRIPT_UNSUPPORTED' : 'PLUGIN_IMPORT_FAILED',
        isUnsupported
          ? `${path} has what Node.js' own type stripping cannot do: ${message}: ${INSTALL}`
          : `${path} does not compile: ${message}`,
      )
    }
  }
}

/** Node.js' own rule: a module is what does not compile as CommonJS, and has the words of modules in it. */
function isModule(code: string): boolean {
  try {
    compileFunction(code, COMMONJS_PARAMETERS)
    return false
  } catch (error) {
    return /import|export|await|already been declared/.test((error as Error).message)
  }
}
