/**
 * One clock for all threads. `performance.now()` counts from each thread's own start, `process.hrtime` from a time that all
 * threads share; each thread measures the distance between the two once.
 */
const READINGS = 16

/** Looked up once: the global `performance` is a getter, which would otherwise run at every reading. */
const clock = performance

const offsetMs = measureOffset()

/** Monotonic milliseconds, comparable between threads of this process; sub-microsecond resolution. */
export function monotonicMs(): number {
  return clock.now() + offsetMs
}

/**
 * Add this to the thread's clock to get the machine's. The two cannot be read at the same instant, and on a busy machine a
 * booting thread is often interrupted between the two readings, for milliseconds. So it reads them several times and keeps
 * the pair that took the least time.
 */
function measureOffset(): number {
  let leastMs = Number.POSITIVE_INFINITY
  let offset = 0
  for (let reading = 0; reading < READINGS; reading += 1) {
    const before = clock.now()
    const machineMs = Number(process.hrtime.bigint()) / 1e6
    const tookMs = clock.now() - before
    if (tookMs >= leastMs) continue
    leastMs = tookMs
    offset = machineMs - before - tookMs / 2
  }
  return offset
}
