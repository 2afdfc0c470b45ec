/** How much larger this process is at most than it was. */
export interface MemoryWatch {
  /** In MB, by the process's resident memory. */
  stop(): number
}

const EVERY_MS = 5

export function startMemoryWatch(): MemoryWatch {
  // What attacks before this one have left behind is no longer needed, and would hide what this one takes.
  const before = process.memoryUsage.rss()
  let most = before
  const look = () => {
    most = Math.max(most, process.memoryUsage.rss())
  }
  const timer = setInterval(look, EVERY_MS)
  return {
    stop() {
      look()
      clearInterval(timer)
      return (most - before) / 1e6
    },
  }
}
