import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { expect, test } from 'vitest'
import { bindMethods } from '../../dist/primitives/bind-methods.js'

class Counter {
  #count = 0
  up(): number {
    this.#count += 1
    return this.#count
  }
  get count(): number {
    return this.#count
  }
}

test('methods may be taken off, are not listed, and can be replaced', () => {
  const counter = bindMethods(new Counter())
  const { up } = counter
  up()
  expect(up()).toBe(2)
  expect(counter.count).toBe(2)
  expect(Object.keys(counter)).toEqual([])
  counter.up = () => 7
  expect(counter.up()).toBe(7)
})

test('those of an engine too', async () => {
  const { flush, close, isSubscribed, on } = await createHookEngine({ contract: delivery, spares: 0 })
  on('error', () => {})
  expect(isSubscribed('onFetch')).toBe(false)
  await flush()
  await close()
})
