/** Routes: which plugins share a hop, and which calls must read the event first. */
import { describe, expect, it } from 'vitest'
import type { Bulkhead } from '../../../dist/host/model/bulkhead.js'
import type { HookpointState } from '../../../dist/host/model/hookpoint-state.js'
import type { ActivePlugin } from '../../../dist/host/model/plugin.js'
import { compileRoute, stepsIn } from '../../../dist/host/model/route.js'
import { InFlightCount } from '../../../dist/host/primitives/in-flight-count.js'

const snapshot = { calls: new InFlightCount() }

function bulkhead(name: string, partition: Bulkhead['partition'] = null): Bulkhead {
  return { name, partition } as Bulkhead
}

function plugin(name: string, home: Bulkhead, index: number, more: Partial<ActivePlugin> = {}): ActivePlugin {
  const breaker = { state: 'closed' } as ActivePlugin['breaker']
  const hooks = new Set(['onOrder'])
  const own = { name, bulkhead: home, index, hooks, breaker, timeoutMs: 100, match: null, sample: 1, isShadow: false }
  return { ...own, ...more } as ActivePlugin
}

function hookpoint(more: object = {}): HookpointState {
  const definition = { order: 'sequential' }
  return { name: 'onOrder', kind: 'gate', isCheckedBetween: false, definition, ...more } as HookpointState
}

const shared = bulkhead('trusted')
const other = bulkhead('other')
const names = (steps: readonly { plugins: readonly ActivePlugin[] }[]) =>
  steps.map(({ plugins }) => plugins.map(({ name }) => name).join())

describe('a route', () => {
  it('is null if no plugin hooks the hookpoint', () => {
    const elsewhere = plugin('a', shared, 0, { hooks: new Set(['onAuth']) })
    expect(compileRoute(hookpoint(), [elsewhere], snapshot)).toBeNull()
  })

  it('has one step for neighbours of a bulkhead, in the order of the chain', () => {
    const plugins = [plugin('a', shared, 0), plugin('b', shared, 2), plugin('c', other, 0), plugin('d', shared, 1)]
    const route = compileRoute(hookpoint(), plugins, snapshot)
    expect(names(route?.steps ?? [])).toEqual(['a,b', 'c', 'd'])
    expect(route?.steps.map(({ mask }) => mask)).toEqual([0b101, 0b1, 0b10])
    expect(route).toMatchObject({ isPlain: true, isSelective: false, isPartitioned: false, branches: null })
  })

  it('knows the first and the shortest time of each step, and who is quarantined', () => {
    const open = { state: 'open' } as ActivePlugin['breaker']
    const plugins = [plugin('a', shared, 0), plugin('b', shared, 1, { timeoutMs: 20, breaker: open })]
    const [step] = compileRoute(hookpoint(), plugins, snapshot)?.steps ?? []
    expect(step).toMatchObject({ firstMs: 100, shortestMs: 20, isGuarded: true })
  })

  it('has one plugin in each step if the host checks each replacement', () => {
    const plugins = [plugin('a', shared, 0), plugin('b', shared, 1)]
    const route = compileRoute(hookpoint({ kind: 'transform', isCheckedBetween: true }), plugins, snapshot)
    expect(names(route?.steps ?? [])).toEqual(['a', 'b'])
  })

  it.each([
    ['an observation', { kind: 'observe' }],
    ['a parallel gate', { definition: { order: 'parallel' } }],
  ])('of %s has a branch for each step', (_what, more) => {
    const plugins = [plugin('a', shared, 0), plugin('b', other, 0)]
    const route = compileRoute(hookpoint(more), plugins, snapshot)
    expect(route?.branches?.map(({ steps }) => names(steps))).toEqual([['a'], ['b']])
    expect(route?.isPlain).toBe(false)
  })

  it('has shadows beside its steps, each on a route of its own', () => {
    const plugins = [plugin('a', shared, 0), plugin('watcher', other, 0, { isShadow: true, sample: 0.5 })]
    const route = compileRoute(hookpoint(), plugins, snapshot)
    expect(names(route?.steps ?? [])).toEqual(['a'])
    expect(route?.shadows.map(({ steps, isSelective }) => [names(steps), isSelective])).toEqual([[['watcher'], false]])
    expect(route).toMatchObject({ isPlain: false, isSelective: false })
    expect(names([...stepsIn(route!)])).toEqual(['a', 'watcher'])
  })

  it.each([
    ['a match', plugin('a', shared, 0, { match: () => true }), { isSelective: true, isPartitioned: false }],
    ['a sample', plugin('a', shared, 0, { sample: 0.1 }), { isSelective: true, isPartitioned: false }],
    [
      'a partition',
      plugin(
        'a',
        bulkhead('keyed', () => 0),
        0,
      ),
      { isSelective: false, isPartitioned: true },
    ],
  ])('with %s needs a look at the event', (_what, chosen, needs) => {
    expect(compileRoute(hookpoint(), [chosen], snapshot)).toMatchObject(needs)
  })
})
