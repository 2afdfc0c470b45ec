/** What a spare does while it waits. */
import { constants, type NodeGCPerformanceDetail, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import { afterEach, expect, test, vi } from 'vitest'
import { prepareWhileIdle } from '../../dist/worker/spare.js'

afterEach(() => {
  vi.useRealTimers()
})

test('a spare that is left alone warms up, collects its garbage, and goes on', async () => {
  const warmUp = vi.fn()
  const collected = new Promise<void>((resolve) => {
    const observer = new PerformanceObserver((list) => {
      const entries = list.getEntries() as (PerformanceEntry & { readonly detail?: NodeGCPerformanceDetail })[]
      if (!entries.some(({ detail }) => detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR)) return
      observer.disconnect()
      resolve()
    })
    observer.observe({ entryTypes: ['gc'] })
  })
  prepareWhileIdle(warmUp, true)
  await collected
  expect(warmUp).toHaveBeenCalledOnce()
})

test('a spare that is needed has better things to do', () => {
  vi.useFakeTimers()
  const warmUp = vi.fn()
  const needed = prepareWhileIdle(warmUp, true)
  expect(vi.getTimerCount()).toBe(1)
  needed()
  vi.runAllTimers()
  expect(warmUp).not.toHaveBeenCalled()
})

test('where collecting is not worth it, it only warms up', () => {
  vi.useFakeTimers()
  const warmUp = vi.fn()
  prepareWhileIdle(warmUp, false)
  vi.runAllTimers()
  expect(warmUp).toHaveBeenCalledOnce()
})
