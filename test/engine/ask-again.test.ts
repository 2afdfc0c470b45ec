/** Asking again about what a failure left undecided: it begins where it came to an end. */
import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, refusalOf, runsIn } from '../support/lab.js'

const chain = (bulkheadOf: (name: string) => string, options: object = {}) => {
  const trail = createTrail()
  const plugins = ['a', 'b', 'c'].map((name) =>
    actor(name, { bulkhead: bulkheadOf(name), config: { trail }, ...options }),
  )
  return { trail, plugins }
}

describe.each([
  ['one bulkhead', () => 'shared'],
  ['a bulkhead each', (name: string) => name],
] as const)('a chain in %s', (_, bulkheadOf) => {
  it.each(['onGate', 'onTransform'] as const)('of %s goes on at the plugin that failed', async (name) => {
    const { trail, plugins } = chain(bulkheadOf)
    const { hooks } = await openLab({ plugins })
    const first = await hooks[name]({ id: 1, acts: { b: 'throws broken' } })
    expect(first).toMatchObject({ resume: { startAt: 'b' } })
    await hooks[name]({ id: 2 }, { startAt: (first as { resume: { startAt: string } }).resume.startAt })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'b 2', 'c 2'])
  })

  it('of a respond, whose failures are raised, goes on at the plugin that the error names', async () => {
    const { trail, plugins } = chain(bulkheadOf)
    const { hooks } = await openLab({ plugins })
    const { plugin } = await refusalOf(hooks.onRespond({ id: 1, acts: { b: 'throws broken' } }))
    await hooks.onRespond({ id: 2 }, { startAt: plugin })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'b 2', 'c 2'])
  })

  it('that had replaced the event says what it was by then', async () => {
    const { trail, plugins } = chain(bulkheadOf)
    const { hooks } = await openLab({ plugins })
    const acts = { a: 'marks', b: 'throws broken', c: 'marks' }
    const undecided = await hooks.onTransform({ id: 1, text: 'e', acts })
    expect(undecided).toMatchObject({ kind: 'reject', failure: { plugin: 'b' }, resume: { event: { text: 'e+a' } } })
    const { event, startAt } = (undecided as { resume: { event: object; startAt: string } }).resume
    const decided = await hooks.onTransform({ ...event, id: 2, acts: { ...acts, b: 'marks' } }, { startAt })
    expect(decided).toMatchObject({ kind: 'replace', event: { text: 'e+a+b+c' } })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'b 2', 'c 2'])
  })

  it('that has no such plugin is asked whole', async () => {
    const { trail, plugins } = chain(bulkheadOf)
    const { hooks } = await openLab({ plugins })
    await hooks.onGate({ id: 1 }, { startAt: 'gone' })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'c 1'])
  })

  it('still leaves out those whose match does not want the event', async () => {
    const { trail, plugins } = chain(bulkheadOf, { match: { key: 'k' } })
    const { hooks } = await openLab({ plugins: [...plugins, actor('d', { config: { trail } })] })
    await hooks.onGate({ id: 1 }, { startAt: 'b' })
    await hooks.onGate({ id: 2, key: 'k' }, { startAt: 'b' })
    expect(runsIn(trail)).toEqual(['d 1', 'b 2', 'c 2', 'd 2'])
  })
})

it('a plugin that is asked about a part of the events is asked again about one that it was drawn for', async () => {
  const trail = createTrail()
  const { hooks } = await openLab({ plugins: [actor('a', { sample: 0.000_001, config: { trail } })] })
  for (let id = 0; id < 20; id += 1) await hooks.onGate({ id }, { startAt: 'a' })
  expect(runsIn(trail)).toHaveLength(20)
})

it('shadows are not asked again', async () => {
  const trail = createTrail()
  const plugins = [actor('a', { config: { trail } }), actor('s', { mode: 'shadow', config: { trail } })]
  const { engine, hooks } = await openLab({ plugins })
  await hooks.onGate({ id: 1 }, { startAt: 'a' })
  await engine.flush()
  expect(runsIn(trail)).toEqual(['a 1'])
})

it('startAt that is no name is refused', async () => {
  const { hooks } = await openLab({ plugins: [actor('a')] })
  const refusal = await refusalOf(hooks.onGate({}, { startAt: 7 as never }))
  expect(refusal).toMatchObject({ code: 'OPTIONS_INVALID', path: ['startAt'] })
})
