/** Bodies that plugins are to see, for every door: whether they are, and what it comes to when they cannot be. */
import type { Hookpoints, HookringError } from '../../contracts/index.js'
import type { HttpHooks } from './hooks.js'
import type { Outcome } from './outcomes.js'
import type { HookedRequest } from './request.js'

export interface BodyBounds {
  readonly maxBytes: number
  readonly timeoutMs: number
}

export type BodyReading =
  | { readonly kind: 'read'; readonly body: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'too-large' | 'late' | 'gone' }
  | { readonly kind: 'unavailable'; readonly error: HookringError }

export function wantsBody<Points extends Hookpoints>({ options }: HttpHooks<Points>, request: HookedRequest): boolean {
  return typeof options.body === 'function' ? options.body(request) === true : options.body
}

export function boundsOf<Points extends Hookpoints>({ options }: HttpHooks<Points>): BodyBounds {
  return { maxBytes: options.maxBodyBytes, timeoutMs: options.bodyTimeoutMs }
}

/** Gives the request its body. Not null: nobody can be asked, and why. */
export function shownBody<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  request: { body: Uint8Array<ArrayBuffer> | null },
  reading: BodyReading,
  signal: AbortSignal,
): Outcome | null {
  if (signal.aborted || reading.kind === 'gone') return hooks.left()
  switch (reading.kind) {
    case 'read':
      request.body = reading.body
      return null
    case 'too-large':
      return hooks.undecided('onRequest', 413)
    case 'late':
      return hooks.undecided('onRequest', 408)
    case 'unavailable':
      return hooks.undecided('onRequest', 500, reading.error)
  }
}
