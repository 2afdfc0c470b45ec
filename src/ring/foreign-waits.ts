/** Tells of `Atomics.waitAsync` by others than the ring: its promise settles in a turn of the event loop. A lane's thread. */

/** @param own the ring's memory, in which the lane itself waits */
export function noticeForeignWaits(notice: () => void, own: SharedArrayBuffer): void {
  const { waitAsync } = Atomics
  if (waitAsync === undefined) return
  const value: typeof waitAsync = (words, ...others) => {
    if (words?.buffer !== own) notice()
    return waitAsync(words as never, ...(others as [never, never]))
  }
  Object.defineProperty(Atomics, 'waitAsync', { value, writable: true, configurable: true, enumerable: false })
}
