/**
 * One clock for all threads: `performance.now()` counts from each thread's own start, `process.hrtime` from the machine's.
 */
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Monotonic milliseconds, comparable between threads of this process; sub-microsecond resolution. */
export function monotonicMs(): number {
  return performance.now() + offsetMs
}
