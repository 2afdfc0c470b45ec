/** A replacement that the plugins behind it cannot be given, because it is larger than an event may be. */
import type { PluginOptions } from 'hookring'
import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, runsIn } from '../support/lab.js'

const MAX_EVENT_BYTES = 4_096
/** Fits beside the event that it replaces, and into no event. */
const lengthens = `lengthens ${MAX_EVENT_BYTES}`

async function open(plugins: readonly (Partial<PluginOptions> & { name: string })[]) {
  const trail = createTrail()
  const opened = await openLab({
    maxEventBytes: MAX_EVENT_BYTES,
    plugins: plugins.map(({ name, ...options }) => actor(name, { bulkhead: name, config: { trail }, ...options })),
  })
  return { ...opened, trail }
}

describe('a replacement that is larger than an event may be', () => {
  it('is the failure of its plugin, by its policy, counted, and the message says which', async () => {
    const { hooks, trail, metric } = await open([{ name: 'a' }, { name: 'b' }])
    const verdict = await hooks.onTransform({ id: 1, acts: { a: lengthens } })
    expect(verdict).toMatchObject({ kind: 'reject', plugin: 'a', failure: { kind: 'invalid', plugin: 'a' } })
    const { message } = (verdict as { failure: { message: string } }).failure
    expect(message).toMatch(/plugin a .* onTransform.* b: .*maxEventBytes is 4096/)
    expect(runsIn(trail)).toEqual(['a 1'])
    expect(await metric('plugin_failures_total', { plugin: 'a', failure: 'invalid' })).toBe(1)
  })

  it('raises, where the policy says so', async () => {
    const { hooks } = await open([{ name: 'a', onFailure: 'raise' }, { name: 'b' }])
    await expect(hooks.onTransform({ acts: { a: lengthens } })).rejects.toMatchObject({
      code: 'PLUGIN_FAILED',
      plugin: 'a',
    })
  })

  it('is put aside under allow: the rest of the chain is asked about the event as it was', async () => {
    const { hooks, trail } = await open([{ name: 'a' }, { name: 'b', onFailure: 'allow' }, { name: 'c' }])
    const acts = { a: 'marks', b: lengthens, c: 'marks' }
    expect(await hooks.onTransform({ id: 1, text: 'e', acts })).toMatchObject({
      kind: 'replace',
      plugin: 'c',
      event: { text: 'e+a+c' },
      failure: { kind: 'invalid', plugin: 'b' },
    })
    expect(runsIn(trail)).toEqual(['a 1', 'b 1', 'c 1'])
  })

  it('is asked about by match as the event was, when it was put aside', async () => {
    const { hooks } = await open([{ name: 'a', onFailure: 'allow' }, { name: 'b', match: { key: 'k' } }, { name: 'c' }])
    const acts = { a: `${lengthens} {"key":"other"}`, b: 'rejects b was asked' }
    expect(await hooks.onTransform({ key: 'k', acts })).toMatchObject({ kind: 'reject', reason: 'b was asked' })
  })

  it('does not quarantine: a client’s message may have been nearly too large', async () => {
    const { hooks, trail } = await openWithBreaker()
    for (let id = 0; id < 20; id += 1) await hooks.onTransform({ id, acts: { a: lengthens } })
    expect(runsIn(trail)).toHaveLength(20)
  })

  it('is the verdict when nobody comes behind it', async () => {
    const { hooks } = await open([{ name: 'a' }])
    expect(await hooks.onTransform({ acts: { a: lengthens } })).toMatchObject({ kind: 'replace' })
  })
})

async function openWithBreaker() {
  const trail = createTrail()
  const plugins = ['a', 'b'].map((name) => actor(name, { bulkhead: name, config: { trail } }))
  const quarantine = { windowMs: 60_000, minFailures: 3, ratio: 0.1, cooldownMs: 60_000 }
  return { ...(await openLab({ maxEventBytes: MAX_EVENT_BYTES, quarantine, plugins })), trail }
}
