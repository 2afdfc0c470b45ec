/**
 * Asks the compiler, and waits: module hooks must answer at once. For a lane's thread and its hooks thread; no other turn
 * of the thread's event loop comes meanwhile.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { CompilerAnswer, CompilerLine, CompilerRequest, ModuleFormat } from '../../contracts/compiling.js'
import { HookringError } from '../../contracts/errors.js'
import { createAnswerBell, ringsOf, waitForRing } from '../../ring/answer-bell.js'

/** More than a file takes on the busiest machine. */
const ANSWER_MS = 60_000

export class CompilerClient {
  readonly #line: CompilerLine<MessagePort>

  constructor(line: CompilerLine<MessagePort>) {
    this.#line = line
  }

  /** @throws HookringError PLUGIN_IMPORT_FAILED, TYPESCRIPT_UNSUPPORTED */
  compile(path: string, as: 'written' | 'commonjs'): { readonly code: string; readonly format: ModuleFormat } {
    const answer = this.#ask({ ask: 'compile', path, as })
    if (answer.is === 'code') return answer
    throw new HookringError('PLUGIN_IMPORT_FAILED', `${path}: the compiler answered something else`)
  }

  /** The file that tsconfig.json and esbuild's rules name; null: none, or there is no esbuild. */
  find(specifier: string, importer: string): string | null {
    if (this.#line.kind !== 'esbuild') return null
    const answer = this.#ask({ ask: 'find', specifier, importer })
    return answer.is === 'found' ? answer.path : null
  }

  get reportsImports(): boolean {
    return this.#line.reportsImports
  }

  /** Nobody waits for it. */
  report(importer: string, imported: string): void {
    this.#send({ ask: 'note', importer, imported })
  }

  /** A line of its own for another thread; its port is to be transferred. */
  fork(): CompilerLine<MessagePort> {
    const { port1, port2 } = new MessageChannel()
    const answers = createAnswerBell()
    this.#send({ ask: 'connect', port: port1, answers }, [port1])
    const { kind, reportsImports } = this.#line
    return { kind, port: port2, answers, reportsImports }
  }

  #ask(request: CompilerRequest<MessagePort>): CompilerAnswer {
    const { port, answers } = this.#line
    const before = ringsOf(answers)
    this.#send(request)
    waitForRing(answers, before, ANSWER_MS)
    const answer = (receiveMessageOnPort(port)?.message ?? null) as CompilerAnswer | null
    if (answer === null) throw new HookringError('PLUGIN_IMPORT_FAILED', 'the compiler of TypeScript does not answer')
    if (answer.is === 'refused') throw new HookringError(answer.code, answer.message)
    return answer
  }

  #send(request: CompilerRequest<MessagePort>, transfer: MessagePort[] = []): void {
    this.#line.port.postMessage(request, transfer)
  }
}
