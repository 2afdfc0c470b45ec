/**
 * Processes that answer questions. What is measured runs in a process of its own, so it has its own heap, threads and
 * host thread, and may die. The measuring side calls `startProcess` on its main thread; the process calls
 * `answerRequests`.
 */
import { fork } from 'node:child_process'

export interface AskedProcess {
  /**
   * Sends one request and waits for its answer; one at a time.
   *
   * @throws Error when the process reports a failure, has ended, or is silent for `timeoutMs`. Silence kills it.
   */
  ask<Answer>(request: unknown, timeoutMs: number): Promise<Answer>
  /** Asks for an early answer to the request under way, with what there is. */
  hurry(): void
  /** Ends the process. It may first finish answering its last request. */
  end(): Promise<void>
}

type Reply = { readonly answer: unknown } | { readonly failure: string; readonly code?: string }

/** A failure that the process reported; `code` is the code of the error there, if it had one. */
export class ReportedFailure extends Error {
  readonly code: string | undefined

  constructor(message: string, code: string | undefined) {
    super(message)
    this.code = code
  }
}

const END_GRACE_MS = 1_000

/** @param execArgv Node.js options for the process */
export function startProcess(script: URL, execArgv: readonly string[] = []): AskedProcess {
  // The process must not print to the bench's own stdout, which is one JSON document.
  const child = fork(script, { execArgv: [...execArgv], stdio: ['ignore', process.stderr, 'inherit', 'ipc'] })
  let endedBy: string | undefined
  const ended = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      endedBy ??= `its process ended (${signal ?? `exit code ${code}`})`
      resolve()
    })
    child.once('error', (error) => {
      endedBy ??= error.message
      resolve()
    })
  })
  return {
    ask<Answer>(request: unknown, timeoutMs: number): Promise<Answer> {
      return new Promise((resolve, reject) => {
        const finish = (act: () => void): void => {
          clearTimeout(timer)
          child.off('message', onReply)
          act()
        }
        const onReply = (reply: Reply): void =>
          finish(() =>
            'failure' in reply
              ? reject(new ReportedFailure(reply.failure, reply.code))
              : resolve(reply.answer as Answer),
          )
        const timer = setTimeout(() => {
          endedBy ??= `no answer within ${timeoutMs} ms`
          child.kill('SIGKILL')
        }, timeoutMs)
        child.on('message', onReply)
        void ended.then(() => finish(() => reject(new Error(endedBy))))
        // A process that has ended emits 'exit'; the failed send adds nothing.
        child.send({ request }, () => {})
      })
    },
    hurry() {
      if (child.connected) child.send({ hurry: true }, () => {})
    },
    async end() {
      if (child.connected) child.disconnect()
      const timer = setTimeout(() => child.kill('SIGKILL'), END_GRACE_MS)
      await ended
      clearTimeout(timer)
    },
  }
}

/** Starts a process, asks it one thing and ends it. */
export async function askOnce<Answer>(script: URL, request: unknown, timeoutMs: number): Promise<Answer> {
  const started = startProcess(script)
  try {
    return await started.ask<Answer>(request, timeoutMs)
  } finally {
    await started.end()
  }
}

/** Answers each request with what `answer` returns, or with why it failed. Ends when the parent ends. */
export function answerRequests<Request>(answer: (request: Request) => Promise<unknown>, onHurry?: () => void): void {
  process.on('message', (message: { request: Request } | { hurry: true }) => {
    if ('hurry' in message) {
      onHurry?.()
      return
    }
    void answer(message.request)
      .then((value): Reply => ({ answer: value }), replyOf)
      .then((reply) => process.send?.(reply))
  })
  // Not process.exit: it would wait for a thread that cannot be ended, and the process would outlive its parent.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
}

function replyOf(error: unknown): Reply {
  const { code } = (error ?? {}) as { code?: unknown }
  const failure = error instanceof Error ? error.message : String(error)
  return typeof code === 'string' ? { failure, code } : { failure }
}
