/**
 * One clock for all threads: `performance.now()` counts from each thread's own start, `process.hrtime` from the machine's.
 */
const READINGS = 16

/** Looked up once: in the global scope it is a getter, which every reading would run. */
const clock = performance

const offsetMs = measureOffset()

/** Monotonic milliseconds, comparable between threads of this process; sub-microsecond resolution. */
export function monotonicMs(): number {
  return clock.now() + offsetMs
}

/**
 * From this thread's clock to the machine's. The two cannot be read at once, and a thread that boots on a busy machine is
 * often interrupted in between, for milliseconds: of several readings the one counts that took the least time.
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
