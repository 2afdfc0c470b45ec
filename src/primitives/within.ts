/** What `within` resolves with when the time is up first. */
export const LATE = Symbol('late')

/** Settles as `promise` does, or resolves with LATE after `ms` milliseconds. It does not stop what the promise stands for. */
export async function within<Value>(promise: PromiseLike<Value>, ms: number): Promise<Value | typeof LATE> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, ms, LATE)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
