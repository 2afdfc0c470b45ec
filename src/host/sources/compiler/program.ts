/** The compiler's thread: it is told of lines to lanes, and answers what comes over them. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import type { CompilerAnswer, CompilerRequest } from '../../../contracts/compiling.js'
import { HookringError } from '../../../contracts/errors.js'
import { ring } from '../../../ring/answer-bell.js'
import { EsbuildCompiler } from './esbuild.js'
import { type SourceCompiler, SourceStore } from './source-store.js'
import { StrippingCompiler } from './stripping.js'

/** What the host says to it. */
export type CompilerOrder =
  | { readonly order: 'connect'; readonly port: MessagePort; readonly answers: Int32Array }
  | { readonly order: 'forget' }

const compiler: SourceCompiler = workerData === 'strip' ? new StrippingCompiler() : new EsbuildCompiler()
const store = new SourceStore(compiler)

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
    const answer = await answerTo(request)
    port.postMessage(answer)
    // After the message: who wakes up finds it.
    ring(answers)
  })
}

async function answerTo(request: Exclude<CompilerRequest<MessagePort>, { ask: 'connect' }>): Promise<CompilerAnswer> {
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
