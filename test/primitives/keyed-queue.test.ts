import { expect, it } from 'vitest'
import { KeyedQueue } from '../../dist/primitives/keyed-queue.js'

it('runs the tasks of a key one after the other, those of others beside them', async () => {
  const queue = new KeyedQueue<string>()
  const order: string[] = []
  let open = () => {}
  const isOpen = new Promise<void>((resolve) => {
    open = resolve
  })
  const first = queue.run('a', async () => {
    order.push('a1 begins')
    await isOpen
    order.push('a1 ends')
  })
  const second = queue.run('a', async () => void order.push('a2'))
  await queue.run('b', async () => void order.push('b'))
  expect(order).toEqual(['a1 begins', 'b'])
  open()
  await Promise.all([first, second])
  expect(order).toEqual(['a1 begins', 'b', 'a1 ends', 'a2'])
})

it('goes on behind a task that fails', async () => {
  const queue = new KeyedQueue<string>()
  const failed = queue.run('a', () => Promise.reject(new Error('no')))
  const next = queue.run('a', async () => 'yes')
  await expect(failed).rejects.toThrow('no')
  expect(await next).toBe('yes')
})

it('keeps nothing of a key whose tasks have settled', async () => {
  const queue = new KeyedQueue<number>()
  const all = Array.from({ length: 100 }, (_, key) => queue.run(key, async () => {}))
  expect(queue.size).toBe(100)
  await Promise.all(all)
  await Promise.resolve()
  expect(queue.size).toBe(0)
})
