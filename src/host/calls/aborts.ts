/**
 * Calls that follow an AbortSignal. A server may pass one signal to all its calls; the signal gets one listener, however
 * many calls follow it. Host's thread only.
 */
import { type Call, ensureRare } from '../model/call.js'

interface Following {
  readonly calls: Set<Call>
  readonly listener: () => void
}

export class Aborts {
  readonly #abandon: (call: Call, reason: unknown) => void
  readonly #followings = new WeakMap<AbortSignal, Following>()

  /** @param abandon called for each call whose signal aborts */
  constructor(abandon: (call: Call, reason: unknown) => void) {
    this.#abandon = abandon
  }

  /** Abandons the call when the signal aborts. The call unfollows the signal when it settles. */
  follow(signal: AbortSignal, call: Call): void {
    const rare = ensureRare(call)
    rare.signal = signal
    rare.unfollow = this.#unfollow
    let following = this.#followings.get(signal)
    if (following === undefined) {
      following = this.#listenTo(signal)
      this.#followings.set(signal, following)
    }
    following.calls.add(call)
  }

  #listenTo(signal: AbortSignal): Following {
    const calls = new Set<Call>()
    const listener = () => {
      for (const each of [...calls]) this.#abandon(each, signal.reason)
    }
    signal.addEventListener('abort', listener)
    return { calls, listener }
  }

  readonly #unfollow = (call: Call): void => {
    const { signal } = call.rare
    const following = signal === null ? undefined : this.#followings.get(signal)
    if (signal === null || following === undefined) return
    following.calls.delete(call)
    if (following.calls.size > 0) return
    signal.removeEventListener('abort', following.listener)
    this.#followings.delete(signal)
  }
}
