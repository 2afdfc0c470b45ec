/**
 * Calls that follow an AbortSignal. A server may pass one signal to all its calls: however many follow it, it gets one
 * listener. Host's thread only.
 */
import { type Call, ensureRare } from '../model/call.js'

export interface Aborts {
  /** Abandons the call when the signal is aborted; ends with the call. */
  follow(signal: AbortSignal, call: Call): void
}

interface Following {
  readonly calls: Set<Call>
  readonly listener: () => void
}

export function createAborts(abandon: (call: Call, reason: unknown) => void): Aborts {
  const followings = new WeakMap<AbortSignal, Following>()

  function unfollow(call: Call): void {
    const { signal } = call.rare
    const following = signal === null ? undefined : followings.get(signal)
    if (signal === null || following === undefined) return
    following.calls.delete(call)
    if (following.calls.size > 0) return
    signal.removeEventListener('abort', following.listener)
    followings.delete(signal)
  }

  return {
    follow(signal, call) {
      const rare = ensureRare(call)
      rare.signal = signal
      rare.unfollow = unfollow
      let following = followings.get(signal)
      if (following === undefined) {
        const calls = new Set<Call>()
        const listener = () => {
          for (const each of [...calls]) abandon(each, signal.reason)
        }
        following = { calls, listener }
        followings.set(signal, following)
        signal.addEventListener('abort', listener)
      }
      following.calls.add(call)
    },
  }
}
