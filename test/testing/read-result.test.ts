/** What a hook's result means, for tests that call hooks by themselves. */
import { reject, replace } from 'hookring/plugin'
import { readResult } from 'hookring/testing'
import { expect, it } from 'vitest'

it.each([
  ['gate', undefined, { kind: 'continue' }],
  ['gate', reject('no', 7), { kind: 'reject', reason: 'no', code: 7 }],
  ['transform', replace({ a: 1 }), { kind: 'replace', event: { a: 1 } }],
  ['respond', { a: 1 }, { kind: 'respond', value: { a: 1 } }],
  ['observe', 'anything', { kind: 'continue' }],
  ['gate', false, { kind: 'invalid', message: expect.stringContaining('nothing or reject(...)') }],
] as const)('a %s that returns %j', (kind, result, reading) => {
  expect(readResult(kind, result)).toEqual(reading)
})
