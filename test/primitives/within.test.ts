import { expect, it } from 'vitest'
import { LATE, within } from '../../dist/primitives/within.js'

const never = new Promise<never>(() => {})

it('comes to what the promise comes to', async () => {
  expect(await within(Promise.resolve(7), 60_000)).toBe(7)
  expect(await within(Promise.resolve(undefined), 60_000)).toBeUndefined()
  await expect(within(Promise.reject(new Error('no')), 60_000)).rejects.toThrow('no')
})

it('comes to LATE when the time is up first', async () => {
  expect(await within(never, 1)).toBe(LATE)
})

it('leaves no timer behind', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await within(Promise.resolve(), 60_000)
  expect(timers()).toBe(before)
})
