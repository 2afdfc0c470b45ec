/**
 * The compiler of TypeScript for plugins that are trusted: a thread that lanes ask for one file after the other, while they
 * load it in place. It is started when the first lane needs it, and keeps what it compiled, so that a lane that takes
 * another's place need not wait for it. The server's thread only.
 */
import * as nodeModule from 'node:module'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import type { CompilerKind, CompilerLine, ImportReport } from '../../../contracts/compiling.js'
import { createAnswerBell } from '../../../ring/answer-bell.js'
import { packageFile } from '../../primitives/package-files.js'
import type { CompilerOrder } from './program.js'

/** Stripping types is experimental in some versions of Node.js, which the thread would say to the server's users. */
const QUIET = ['--disable-warning=ExperimentalWarning']

export class Compiler {
  #thread: Worker | null = null
  #hearImport: (importer: string, imported: string) => void = () => {}

  /** For a lane's thread: the port is to be transferred. */
  connect({ reportsImports }: { readonly reportsImports: boolean }): CompilerLine<MessagePort> {
    const kind = compilerKind() ?? 'none'
    const { port1, port2 } = new MessageChannel()
    const answers = createAnswerBell()
    this.#tell(kind, { order: 'connect', port: port1, answers }, [port1])
    return { kind, port: port2, answers, reportsImports }
  }

  /** What was compiled before is compiled anew: a tsconfig.json may have changed. */
  forget(): void {
    this.#thread?.postMessage({ order: 'forget' } satisfies CompilerOrder)
  }

  /** Told of each import that lanes report. */
  onImport(hear: (importer: string, imported: string) => void): void {
    this.#hearImport = hear
  }

  async close(): Promise<void> {
    await this.#thread?.terminate()
    this.#thread = null
  }

  #tell(kind: CompilerKind, order: CompilerOrder, transfer: MessagePort[]): void {
    this.#thread ??= this.#start(kind)
    this.#thread.postMessage(order, transfer)
  }

  #start(kind: CompilerKind): Worker {
    const thread = new Worker(packageFile('host/sources/compiler/program.js'), {
      name: 'hookring-compiler',
      workerData: kind,
      execArgv: QUIET,
    })
    thread.unref()
    const gone = (): void => {
      if (this.#thread === thread) this.#thread = null
    }
    thread.on('message', ({ importer, imported }: ImportReport) => this.#hearImport(importer, imported))
    // Lanes that wait for it run into their own time; those that come later have a new one.
    thread.on('error', gone).on('exit', gone)
    return thread
  }
}

/** What compiles here; null: nothing, so that TypeScript cannot be loaded. */
export function compilerKind(): Exclude<CompilerKind, 'none'> | null {
  try {
    import.meta.resolve('esbuild')
    return 'esbuild'
  } catch {
    return 'stripTypeScriptTypes' in nodeModule ? 'strip' : null
  }
}
