/** What `within` resolves with when the time was up first. */
export const LATE = Symbol('late')

/** Settles as `promise` does, or with LATE when `ms` have passed first. The promise itself goes on. Any thread. */
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
