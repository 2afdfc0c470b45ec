/** Where errors go that no client can be told of: to the operator's `onError`, or to a warning, once for each place. */
import { inspect } from 'node:util'

export class Reports {
  readonly #onError: ((error: unknown, place: string) => void) | undefined
  readonly #warned = new Set<string>()

  constructor(onError: ((error: unknown, place: string) => void) | undefined) {
    this.#onError = onError
  }

  report(error: unknown, place: string): void {
    if (this.#onError !== undefined) {
      try {
        this.#onError(error, place)
        return
      } catch {
        // Falls through to the warning about the error that it was told of.
      }
    }
    if (this.#warned.has(place)) return
    this.#warned.add(place)
    process.emitWarning(`attachHooks, ${place}: ${inspect(error)}`, 'HookringWarning')
  }
}
