/**
 * Tells whether the plugins of this thread have something going on that needs an event loop: a timer, a socket, a watcher.
 * Made while the thread boots, because that takes a while; begins before plugins are imported; asked before each park, for
 * asking takes longer than most hooks.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'

const TIMER_STARTERS = ['setTimeout', 'setInterval'] as const

export interface HandleWatch {
  /** What is going on now is not the plugins'. */
  begin(): void
  /** Whether more is alive than when it began, or a timer was started since. */
  needsLoop(): boolean
  /** What it was when asked last; timers that were started since count. */
  neededLoop(): boolean
}

export function createHandleWatch(): HandleWatch {
  let atFirst = 0
  let hasTimers = false
  let hasHandles = true
  // Timers that were unref'd do not show among the active resources, and must fire all the same.
  noticeTimers(() => {
    hasTimers = true
  })
  return {
    begin() {
      atFirst = liveHandles()
      hasTimers = false
    },
    needsLoop() {
      hasHandles = liveHandles() > atFirst
      return hasTimers || hasHandles
    },
    neededLoop: () => hasTimers || hasHandles,
  }
}

function liveHandles(): number {
  let count = 0
  for (const resource of process.getActiveResourcesInfo()) if (resource !== 'Immediate') count += 1
  return count
}

function noticeTimers(onStart: () => void): void {
  const timers = createRequire(import.meta.url)('node:timers') as Record<string, (...args: unknown[]) => unknown>
  for (const name of TIMER_STARTERS) {
    const start = timers[name] as (...args: unknown[]) => unknown
    const noticed = Object.assign((...args: unknown[]) => {
      onStart()
      return start(...args)
    }, start)
    timers[name] = noticed
    Object.defineProperty(globalThis, name, { value: noticed, configurable: true, writable: true, enumerable: true })
  }
  syncBuiltinESMExports()
}
