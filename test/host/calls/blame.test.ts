/** Who took the time of a plugin that came to its deadline. */
import { describe, expect, it } from 'vitest'
import { cutShortBy, cutShortWhenThrowing } from '../../../dist/host/calls/blame.js'
import type { Call } from '../../../dist/host/model/call.js'
import type { ActivePlugin } from '../../../dist/host/model/plugin.js'

const plugin = { timeoutMs: 100 } as ActivePlugin
/** A call that began at 1000, of a plugin with 100 ms. */
const callWith = (capMs = Number.POSITIVE_INFINITY) => ({ tripMs: 1000, rare: { capMs } }) as Call

describe('a timeout', () => {
  it.each([
    ['of a plugin that had its time is its own', callWith(), { ownDueMs: 1100, endMs: 1100, ranMs: 99 }, undefined],
    [
      'before the plugin’s own time is the caller’s',
      callWith(1020),
      { ownDueMs: 1100, endMs: 1020, ranMs: 20 },
      'caller',
    ],
    [
      'at the plugin’s own time is its own, whatever the caller gave',
      callWith(1200),
      { ownDueMs: 1100, endMs: 1100, ranMs: 99 },
      undefined,
    ],
    [
      'of a plugin that waited for most of its time is not its own',
      callWith(),
      { ownDueMs: 1100, endMs: 1100, ranMs: 10 },
      'waiting',
    ],
    [
      'of a plugin that was not entered is not its own',
      callWith(1500),
      { ownDueMs: 1100, endMs: 1100, ranMs: 0 },
      'waiting',
    ],
  ] as const)('%s', (_, call, turn, by) => {
    expect(cutShortBy(call, plugin, turn)).toBe(by)
  })
})

describe('an error', () => {
  it.each([
    ['without a limit of the caller’s is the plugin’s own', callWith(), 1099, undefined],
    ['long before the caller’s limit is the plugin’s own', callWith(1050), 1020, undefined],
    ['at the caller’s limit is what the plugin’s own requests give up with', callWith(1050), 1049, 'caller'],
    ['at a limit behind the plugin’s own time is the plugin’s own', callWith(1300), 1100, undefined],
  ] as const)('%s', (_, call, endMs, by) => {
    expect(cutShortWhenThrowing(call, { ownDueMs: 1100, endMs, ranMs: endMs - 1000 })).toBe(by)
  })
})
