/** Errors that no client is told of: to the operator's `onError`, or to a warning, once for each place. Host's thread only. */
import { inspect } from 'node:util'

export class ErrorReports {
  readonly #door: string
  readonly #onError: ((error: unknown, place: string) => void) | undefined
  readonly #warned = new Set<string>()

  /** @param door the function or package that the operator called: warnings name it. */
  constructor(door: string, onError: ((error: unknown, place: string) => void) | undefined) {
    this.#door = door
    this.#onError = onError
  }

  /** Never throws. @param place one of a few: a hookpoint, an option. */
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
    process.emitWarning(`${this.#door}, ${place}: ${inspect(error)}`, 'HookringWarning')
  }
}
