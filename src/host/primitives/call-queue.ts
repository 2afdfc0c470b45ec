/**
 * Calls and observations that wait for a slot, first come first served. Bounded by its owner; entries that settled or
 * went elsewhere while they waited are skipped. Host's thread only.
 */
import type { Call } from '../model/call.js'

/** Consumed entries are cut off when there are this many. */
const TRIM_AT = 256

export interface CallQueue {
  push(call: Call): void
  /** The next call that still waits, or null. */
  shift(): Call | null
  /** Puts a call back at the head. */
  unshift(call: Call): void
  /** Takes all that still wait. */
  takeAll(): Call[]
  isEmpty(): boolean
}

export function createCallQueue(): CallQueue {
  let calls: Call[] = []
  let head = 0

  function skipGone(): void {
    while (head < calls.length && (calls[head] as Call).waitsIn !== queue) head += 1
    if (head === calls.length) {
      calls = []
      head = 0
    } else if (head >= TRIM_AT && head * 2 > calls.length) {
      calls = calls.slice(head)
      head = 0
    }
  }

  const queue: CallQueue = {
    push(call) {
      calls.push(call)
    },
    shift() {
      skipGone()
      if (head >= calls.length) return null
      const call = calls[head] as Call
      head += 1
      return call
    },
    unshift(call) {
      if (head > 0) {
        head -= 1
        calls[head] = call
      } else {
        calls.unshift(call)
      }
    },
    takeAll() {
      const waiting = calls.slice(head).filter((call) => call.waitsIn === queue)
      calls = []
      head = 0
      return waiting
    },
    isEmpty() {
      skipGone()
      return head >= calls.length
    },
  }
  return queue
}
