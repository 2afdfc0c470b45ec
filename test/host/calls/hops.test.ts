/** How calls go from hop to hop, and what failures become. Lanes are stand-ins: what is submitted stays there until a test goes on. */
import { describe, expect, it } from 'vitest'
import type { Failure } from '../../../dist/contracts/verdict.js'
import { Hops } from '../../../dist/host/calls/hops.js'
import { Selection } from '../../../dist/host/calls/selection.js'
import { ensureRare } from '../../../dist/host/model/call.js'
import { monotonicMs } from '../../../dist/ring/clock.js'
import { createScene, type SceneOptions } from '../../support/call-stand-ins.js'

function open(options: SceneOptions) {
  const scene = createScene(options)
  const emitted: unknown[] = []
  const hops = new Hops({
    maxEventBytes: 1_024,
    deadlines: { watch() {}, forget() {} },
    pump: { submitted() {} },
    emit: (name, ...args) => emitted.push([name, ...args]),
    selection: new Selection(() => 0.5),
  })
  const { call, settled } = scene.call()
  const fail = (plugin: number, parts: Partial<Failure> = {}, done = 0) => {
    const { name } = scene.plugins[plugin]!
    const failure = {
      kind: 'error',
      plugin: name,
      hookpoint: 'onTest',
      message: 'it threw',
      waitedMs: 0,
      ranMs: 1,
    } as const
    hops.fail(call, scene.plugins[plugin]!, { ...failure, ...parts }, done)
  }
  return { ...scene, hops, call, settled, fail, emitted }
}

describe('a chain', () => {
  it('makes one trip for neighbours that share a bulkhead, and goes on with the next when all of them have run', async () => {
    const { hops, call, settled, submitted } = open({
      plugins: [{ name: 'a' }, { name: 'b' }, { name: 'c', bulkhead: 'other' }],
    })
    hops.start(call, {})
    hops.proceed(call, 0b11)
    expect(submitted).toEqual([
      { bulkhead: 'shared', plugins: ['a', 'b'] },
      { bulkhead: 'other', plugins: ['c'] },
    ])
    hops.proceed(call, 0b1)
    expect(await settled).toEqual({ kind: 'continue' })
  })

  it('goes on after a plugin whose failure the policy allows, and carries the first such failure', async () => {
    const { hops, call, settled, submitted, fail } = open({
      plugins: [{ name: 'a' }, { name: 'b', onFailure: 'allow' }, { name: 'c' }],
    })
    hops.start(call, {})
    fail(1, {}, 0b1)
    expect(submitted[1]).toEqual({ bulkhead: 'shared', plugins: ['c'] })
    hops.proceed(call, 0b100)
    expect(await settled).toMatchObject({ kind: 'continue', failure: { plugin: 'b' } })
  })

  it.each([
    [
      'deny',
      { kind: 'reject', plugin: 'a', reason: 'the operation could not be checked', failure: { message: 'it threw' } },
    ],
    ['raise', { code: 'PLUGIN_FAILED', plugin: 'a', cause: { kind: 'error' } }],
  ] as const)('ends with the failure when the policy is %s', async (onFailure, outcome) => {
    const { hops, call, settled, fail, submitted } = open({ plugins: [{ name: 'a', onFailure }, { name: 'b' }] })
    hops.start(call, {})
    fail(0)
    expect(await settled).toMatchObject(outcome)
    expect(submitted).toHaveLength(1)
  })

  it('leaves a quarantined plugin out, or ends before it, according to its policy', async () => {
    for (const [onFailure, kind] of [
      ['allow', 'continue'],
      ['deny', 'reject'],
    ] as const) {
      const { hops, call, settled, plugins, submitted } = open({ plugins: [{ name: 'a' }, { name: 'b', onFailure }] })
      plugins[1]!.breaker.hold(0)
      // As the registry marks it.
      for (const step of call.route.steps) step.isGuarded = true
      hops.start(call, {})
      expect(submitted).toEqual([{ bulkhead: 'shared', plugins: ['a'] }])
      hops.proceed(call, 0b1)
      expect(await settled).toMatchObject({ kind, failure: { kind: 'quarantined', plugin: 'b' } })
    }
  })
})

describe('a failure', () => {
  it('of the plugin’s own counts towards its quarantine', () => {
    const { hops, call, plugins, fail } = open({ plugins: [{ name: 'a' }] })
    hops.start(call, {})
    fail(0, { kind: 'timeout' })
    expect(plugins[0]!.breaker.state).toBe('open')
    expect(plugins[0]!.recorders[0]!.failures.some((count) => count === 1)).toBe(true)
  })

  it('that others caused is counted at the hookpoint, and not against the plugin', () => {
    for (const cutShortBy of ['caller', 'waiting', 'neighbour'] as const) {
      const { hops, call, plugins, fail, hookpoint } = open({ plugins: [{ name: 'a' }] })
      hops.start(call, {})
      fail(0, { kind: 'timeout', cutShortBy })
      expect(plugins[0]!.breaker.state).toBe('closed')
      expect(plugins[0]!.recorders[0]!.failures.every((count) => count === 0)).toBe(true)
      expect(hookpoint.recorder.cutShort.reduce((sum, count) => sum + count, 0)).toBe(1)
    }
  })

  it('that others caused leaves the probe to the next call', () => {
    const { hops, call, plugins, fail } = open({ plugins: [{ name: 'a' }] })
    const [{ breaker }] = plugins as [(typeof plugins)[0]]
    breaker.record('failure', 0)
    expect(breaker.admit(1e12)).toBe('probe')
    ensureRare(call).probe = plugins[0]!
    hops.start(call, {})
    fail(0, { kind: 'timeout', cutShortBy: 'caller' })
    expect(breaker.state).toBe('open')
    expect(breaker.admit(1e12)).toBe('probe')
  })
})

describe('a call', () => {
  it('whose caller’s time is up asks no other plugin', async () => {
    const { hops, call, settled, submitted } = open({ plugins: [{ name: 'a' }, { name: 'b', bulkhead: 'other' }] })
    hops.start(call, {})
    ensureRare(call).capMs = monotonicMs() - 1
    hops.proceed(call, 0b1)
    expect(submitted).toHaveLength(1)
    expect(await settled).toMatchObject({
      kind: 'reject',
      plugin: 'b',
      failure: { kind: 'timeout', cutShortBy: 'caller', waitedMs: 0, ranMs: 0 },
    })
  })

  it('waits with its bytes when no lane has room, and fails as overload when the queue is full', async () => {
    const waiting = open({ plugins: [{ name: 'a' }], hasRoom: false, maxQueue: 1 })
    waiting.hops.start(waiting.call, {})
    expect(waiting.call.isWaiting).toBe(true)
    expect(waiting.call.held).not.toBeNull()
    const refused = open({ plugins: [{ name: 'a' }], hasRoom: false })
    refused.hops.start(refused.call, {})
    expect(await refused.settled).toMatchObject({ kind: 'reject', failure: { kind: 'overload', plugin: 'a' } })
    expect(refused.plugins[0]!.breaker.state).toBe('closed')
  })

  it('that is an observation and finds no room becomes a dead letter for each plugin', () => {
    const { hops, call, emitted } = open({ kind: 'observe', plugins: [{ name: 'a' }, { name: 'b' }], hasRoom: false })
    hops.start(call, {})
    expect(emitted).toMatchObject([
      ['deadLetter', { plugin: 'a', reason: 'overload', event: 'the event' }],
      ['deadLetter', { plugin: 'b', reason: 'overload', event: 'the event' }],
    ])
    expect(call.isSettled).toBe(true)
  })
})
