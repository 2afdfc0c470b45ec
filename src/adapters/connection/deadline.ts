/** The time that hooks and handlers of the host have. On the host's thread. */
import { HookringError } from '../../contracts/index.js'

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** What a promise comes to, unless the time is up or the signal fires before. @throws HookringError REQUEST_TIMEOUT, CONNECTION_CLOSED */
export function settledWithin(
  promise: PromiseLike<unknown>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      end(() => reject(new HookringError('REQUEST_TIMEOUT', `no answer within ${timeoutMs} ms`)))
    }, timeoutMs)
    const aborted = () => end(() => reject(new HookringError('CONNECTION_CLOSED', 'nobody waits for the answer')))
    const end = (settle: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      settle()
    }
    promise.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    )
    if (signal?.aborted === true) aborted()
    else signal?.addEventListener('abort', aborted)
  })
}
