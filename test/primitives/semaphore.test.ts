import { expect, it } from 'vitest'
import { Semaphore } from '../../dist/primitives/semaphore.js'

it('lets in as many at once as it has permits, and the rest in their order', async () => {
  const semaphore = new Semaphore(2)
  const order: number[] = []
  const leave: (() => void)[] = []
  let most = 0
  const all = Array.from({ length: 1_000 }, (_, index) =>
    semaphore.run(() => {
      order.push(index)
      return new Promise<void>((resolve) => {
        most = Math.max(most, leave.push(resolve))
      })
    }),
  )
  expect([order, semaphore.waiting]).toEqual([[0, 1], 998])
  while (leave.length > 0) {
    leave.shift()?.()
    await new Promise(setImmediate)
  }
  await Promise.all(all)
  expect(order).toEqual(all.map((_, index) => index))
  expect([most, semaphore.waiting]).toEqual([2, 0])
})

it('has its permit back after a task that failed', async () => {
  const semaphore = new Semaphore(1)
  await expect(semaphore.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect([semaphore.tryAcquire(), semaphore.tryAcquire()]).toEqual([true, false])
  semaphore.release()
  expect(semaphore.tryAcquire()).toBe(true)
})
