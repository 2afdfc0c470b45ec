/** What the hook of case `mqtt` does, wherever it runs. */
const never = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the thread and leaves its CPU to others, as a synchronous read or query would. */
export function block(ms: number): void {
  if (ms > 0) Atomics.wait(never, 0, 0, ms)
}
