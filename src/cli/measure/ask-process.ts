/**
 * Processes that answer questions: what is measured runs in one of its own, so that it has its own heap, threads and host
 * thread, and may die. `startProcess` is for the main thread of who measures, `answerRequests` for the process itself.
 */
import { fork } from 'node:child_process'

export interface AskedProcess {
  /**
   * Sends one request and waits for its answer; one at a time.
   *
   * @throws Error when the process reports a failure, has ended, or is silent for `timeoutMs`. Silence kills it.
   */
  ask<Answer>(request: unknown, timeoutMs: number): Promise<Answer>
  /** Asks that the request under way be answered early, with what there is. */
  hurry(): void
  /** Ends the process, which may take the answering of its last request first. */
  end(): Promise<void>
}

type Reply = { readonly answer: unknown } | { readonly failure: string; readonly code?: string }

/** What the process reported; `code` is that of the error there, if it had one. */
export class ReportedFailure extends Error {
  readonly code: string | undefined

  constructor(message: string, code: string | undefined) {
    super(message)
    this.code = code
  }
}

const END_GRACE_MS = 1_000

/** @param execArgv options of Node.js for the process. */
export function startProcess(script: URL, execArgv: readonly string[] = []): AskedProcess {
  // What the process prints must not reach the bench's own stdout: that is one JSON document.
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
        // A process that is gone says so by 'exit'; the failed send adds nothing.
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

/** Answers each request with what the function returns, or with why it failed; ends with the parent. */
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
  // Not process.exit: a thread that cannot be ended would hold it up, and the process outlive its parent.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))
}

function replyOf(error: unknown): Reply {
  const { code } = (error ?? {}) as { code?: unknown }
  const failure = error instanceof Error ? error.message : String(error)
  return typeof code === 'string' ? { failure, code } : { failure }
}
