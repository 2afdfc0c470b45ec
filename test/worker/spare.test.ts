/** What a spare does while it waits. */
import { constants, type NodeGCPerformanceDetail, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { afterEach, expect, test, vi } from 'vitest'
import { collectWhileIdle } from '../../dist/worker/spare.js'

afterEach(() => {
  vi.useRealTimers()
})

test('a spare that is left alone collects its garbage, and goes on', async () => {
  const collected = new Promise<void>((resolve) => {
    const observer = new PerformanceObserver((list) => {
      const entries = list.getEntries() as (PerformanceEntry & { readonly detail?: NodeGCPerformanceDetail })[]
      if (!entries.some(({ detail }) => detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR)) return
      observer.disconnect()
      resolve()
    })
    observer.observe({ entryTypes: ['gc'] })
  })
  collectWhileIdle(true)
  await collected
})

test('a spare that is needed has better things to do', () => {
  vi.useFakeTimers()
  const needed = collectWhileIdle(true)
  expect(vi.getTimerCount()).toBe(1)
  needed()
  expect(vi.getTimerCount()).toBe(0)
})

test('where it is not worth it, it only waits', () => {
  vi.useFakeTimers()
  const needed = collectWhileIdle(false)
  expect(vi.getTimerCount()).toBe(0)
  needed()
})
