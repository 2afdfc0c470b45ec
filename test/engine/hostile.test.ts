/**
 * A lane that is wholly owned by its plugin and writes what it likes: the host notices, blames it, replaces it, and nobody
 * else hears of it.
 */
import { describe, expect, it } from 'vitest'
import { actor, fixture, openLab, until } from '../support/lab.js'

const hostile = (options = {}) => ({ from: fixture('lab/hostile.mjs'), bulkhead: 'hostile', priority: 1, ...options })

const ATTACKS: readonly (readonly [attack: string, kind: string])[] = [
  ['a tail that is ahead of its ring', 'sequence'],
  ['a tail that goes back', 'sequence'],
  ['a slot that is none', 'sequence'],
  ['a negative slot', 'sequence'],
  ['a slot that is free', 'slot'],
  ['a slot that is not completed', 'state'],
  ['a slot twice', 'slot'],
  ['an outcome that is none', 'code'],
  ['a negative outcome', 'code'],
  ['an outcome of another kind of hookpoint', 'code'],
  ['a verdict of a plugin that is none', 'bounds'],
  ['a verdict of a plugin that was not asked', 'bounds'],
  ['a reason longer than its room', 'bounds'],
  ['a reason of negative length', 'bounds'],
  ['a reason that is not UTF-8', 'utf8'],
]

const REPLY_ATTACKS: readonly (readonly [attack: string, kind: string])[] = [
  ['a reply area that is none', 'bounds'],
  ['a replacement longer than its room', 'bounds'],
  ['a replacement by a plugin that is none', 'bounds'],
  ['a replacement that is no event', 'reply'],
]

describe('a lane that writes', () => {
  it.each([
    ...ATTACKS.map((row) => [...row, 'onGate'] as const),
    ...REPLY_ATTACKS.map((row) => [...row, 'onTransform'] as const),
  ])('%s is found out (%s) and replaced', async (attack, kind, hookpoint) => {
    const { hooks, heard, said, metric } = await openLab({
      timeoutMs: 2_000,
      plugins: [
        hostile({ onFailure: 'deny' }),
        actor('honest', { bulkhead: 'honest', config: { hooks: ['onParallel'] } }),
      ],
    })
    const bystanders = Array.from({ length: 20 }, (_, id) => hooks.onParallel({ id, acts: { honest: 'rejects fine' } }))
    const attacked = await hooks[hookpoint]({ id: 1, acts: { hostile: attack } })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([
      { bulkhead: 'hostile', reason: 'violation', plugin: 'hostile', message: expect.stringContaining(kind) },
    ])
    expect(await metric('protocol_violations_total', { bulkhead: 'hostile', kind })).toBe(1)
    expect(await metric('protocol_violations_total')).toBe(1)
    // Its own call may have had a verdict before the forged one came; else it failed with its lane.
    if (attacked.kind !== 'reject' || attacked.reason !== 'honest') {
      expect(attacked).toMatchObject({
        kind: 'reject',
        plugin: 'hostile',
        failure: { kind: 'crash', plugin: 'hostile' },
      })
    }
    for (const verdict of await Promise.all(bystanders))
      expect(verdict).toEqual({ kind: 'reject', reason: 'fine', plugin: 'honest' })
    // The next generation serves.
    expect(await hooks[hookpoint]({ id: 2 })).toEqual({ kind: 'continue' })
    await until('its slots', async () => (await metric('in_flight')) === 0)
  })

  it('times that are none spoils no figure', async () => {
    const { hooks, engine, metric } = await openLab({ plugins: [hostile()] })
    expect(await hooks.onGate({ acts: { hostile: 'times that are none' } })).toEqual({
      kind: 'reject',
      reason: 'honest',
      plugin: 'hostile',
    })
    const text = await engine.registry.metrics()
    expect(text).not.toMatch(/NaN|Inf(?!")/)
    expect(await metric('plugin_running_seconds_sum')).toBeLessThan(5)
    expect(await metric('call_waiting_seconds_sum')).toBeLessThan(5)
  })

  it('a code beyond its range gives one in range', async () => {
    const { hooks } = await openLab({ plugins: [hostile()] })
    const verdict = await hooks.onGate({ acts: { hostile: 'a code beyond its range' } })
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'hostile' })
    expect((verdict as { code?: number }).code ?? 0).toBeGreaterThanOrEqual(0)
  })

  it.each(['never gives up its mask', 'moves its mark on and on'])(
    'without end (%s) postpones no deadline for long, and no replacement',
    async (act) => {
      const { hooks, heard, said } = await openLab({
        hangMs: 50,
        plugins: [hostile({ timeoutMs: 100 }), actor('beside', { bulkhead: 'hostile', timeoutMs: 100 })],
      })
      const began = performance.now()
      const verdict = await hooks.onGate({ acts: { hostile: act } })
      // All its plugins' times together, and a little.
      expect(performance.now() - began).toBeLessThan(1_000)
      expect(verdict).toMatchObject({ kind: 'reject', failure: { kind: expect.stringMatching(/timeout|crash/) } })
      await heard('laneReplaced')
      expect(said.laneReplaced[0]?.reason).toMatch(/hang|stall/)
      expect(await hooks.onGate({}, { timeoutMs: 5_000 })).toEqual({ kind: 'continue' })
    },
  )

  it('nothing and rings for ever is throttled, then replaced', async () => {
    const { hooks, heard, said, metric } = await openLab({
      hangMs: 60_000,
      timeoutMs: 60_000,
      plugins: [hostile(), actor('honest', { bulkhead: 'honest', config: { hooks: ['onParallel'] } })],
    })
    const ringing = hooks.onGate({ acts: { hostile: 'rings for ever' } })
    const replaced = heard('laneReplaced')
    let isReplaced = false
    void replaced.finally(() => {
      isReplaced = true
    })
    let longestMs = 0
    while (!isReplaced) {
      const began = performance.now()
      expect(await hooks.onParallel({})).toEqual({ kind: 'continue' })
      longestMs = Math.max(longestMs, performance.now() - began)
    }
    await replaced
    expect(await ringing).toMatchObject({ kind: 'reject', failure: { kind: 'crash' } })
    expect(said.laneReplaced).toMatchObject([
      { reason: 'violation', plugin: 'hostile', message: expect.stringContaining('doorbell') },
    ])
    expect(await metric('protocol_violations_total', { kind: 'doorbell' })).toBe(1)
    expect(longestMs).toBeLessThan(500)
  })
})
