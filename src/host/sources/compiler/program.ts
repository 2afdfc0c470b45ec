/** The compiler's thread: it is told of lines to lanes, and answers what comes over them. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { CompilerAnswer, CompilerKind, CompilerRequest, ImportReport } from '../../../contracts/compiling.js'
import { HookringError } from '../../../contracts/errors.js'
import { ring } from '../../../ring/answer-bell.js'
import { EsbuildCompiler } from './esbuild.js'
import { type SourceCompiler, SourceStore } from './source-store.js'
import { StrippingCompiler } from './stripping.js'

/** What the host says to it. */
export type CompilerOrder =
  | { readonly order: 'connect'; readonly port: MessagePort; readonly answers: Int32Array }
  | { readonly order: 'forget' }

const COMPILERS: Readonly<Record<CompilerKind, () => SourceCompiler>> = {
  esbuild: () => new EsbuildCompiler(),
  strip: () => new StrippingCompiler(),
  none: () => NO_COMPILER,
}
const NO_COMPILER: SourceCompiler = {
  async compile({ path }) {
    throw new HookringError(
      'TYPESCRIPT_UNSUPPORTED',
      `${path} is TypeScript: install esbuild, or Node.js 22.18 or later`,
    )
  },
  find: async () => null,
}
const store = new SourceStore(COMPILERS[workerData as CompilerKind]())

parentPort?.on('message', (order: CompilerOrder) => {
  if (order.order === 'forget') store.forget()
  else listen(order.port, order.answers)
})

function listen(port: MessagePort, answers: Int32Array): void {
  port.on('message', async (request: CompilerRequest<MessagePort>) => {
    if (request.ask === 'connect') {
      listen(request.port, request.answers)
      return
    }
    if (request.ask === 'note') {
      const { importer, imported } = request
      parentPort?.postMessage({ importer, imported } satisfies ImportReport)
      return
    }
    const answer = await answerTo(request)
    port.postMessage(answer)
    // After the message: who wakes up finds it.
    ring(answers)
  })
}

type Question = Extract<CompilerRequest<MessagePort>, { ask: 'compile' | 'find' }>

async function answerTo(request: Question): Promise<CompilerAnswer> {
  try {
    if (request.ask === 'find') {
      return { is: 'found', path: await store.find(String(request.specifier), String(request.importer)) }
    }
    return { is: 'code', ...(await store.compile(String(request.path), request.as)) }
  } catch (error) {
    const { code, message } =
      error instanceof HookringError ? error : { code: 'PLUGIN_IMPORT_FAILED' as const, message: String(error) }
    return { is: 'refused', code, message }
  }
}
