/**
 * How long the event loop of this thread stood still, by its own doing: a timer that is due every millisecond looks how late
 * it is, and what the thread spent waiting for a core, as the kernel has it, is taken off.
 */
import { readFileSync } from 'node:fs'

export interface LoopWatch {
  reset(): void
  /** The longest standstill since the last reset, in milliseconds. */
  stop(): number
}

const EVERY_MS = 1
/** Reading what the kernel has costs more than the look itself. */
const WORTH_A_LOOK_MS = 4

export function startLoopWatch(): LoopWatch {
  let lastMs = performance.now()
  let waitedMs = coreWaitMs()
  let longestMs = 0
  const look = () => {
    const nowMs = performance.now()
    const gapMs = nowMs - lastMs - EVERY_MS
    if (gapMs > WORTH_A_LOOK_MS) {
      const waitsMs = coreWaitMs()
      longestMs = Math.max(longestMs, gapMs - (waitsMs - waitedMs))
      waitedMs = waitsMs
    }
    lastMs = performance.now()
  }
  const timer = setInterval(look, EVERY_MS)
  return {
    reset() {
      lastMs = performance.now()
      waitedMs = coreWaitMs()
      longestMs = 0
    },
    stop() {
      look()
      clearInterval(timer)
      return Math.max(0, longestMs)
    },
  }
}

/** Time that this thread was ready to run and did not; 0 where nobody tells. */
function coreWaitMs(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}
