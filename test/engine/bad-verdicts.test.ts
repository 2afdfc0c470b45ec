import { describe, expect, it } from 'vitest'
import { GARBAGE } from '../fixtures/lab/garbage.mjs'
import { note } from '../fixtures/lab/trail.mjs'
import { actor, createTrail, openLab, until } from '../support/lab.js'

describe('what a hook returns', () => {
  it.each(['onGate', 'onTransform', 'onRespond'] as const)(
    'at %s may be anything: what is no verdict is a failure, and the lane lives',
    async (hookpoint) => {
      const { hooks, said, metric } = await openLab({ plugins: [actor('messy', { onFailure: 'allow' })] })
      const kinds: Record<string, string | undefined> = {}
      for (const what of Object.keys(GARBAGE)) {
        for (const act of [`returns ${what}`, `later returns ${what}`]) {
          const verdict = await hooks[hookpoint]({ id: 1, acts: { messy: act } })
          kinds[act] = verdict.failure?.kind ?? `${verdict.kind}, no failure`
        }
      }
      // What throws when it is looked at is an error of the plugin's; an async hook that returns such a promise throws it.
      const isError = /throws|throwing|revoked/
      for (const [act, kind] of Object.entries(kinds))
        expect([act, kind]).toEqual([act, isError.test(act) ? expect.stringMatching(/error|invalid/) : 'invalid'])
      expect(said.laneReplaced).toEqual([])
      expect(await metric('protocol_violations_total')).toBe(0)
      expect(await metric('in_flight')).toBe(0)
      expect(await hooks[hookpoint]({})).toEqual({ kind: 'continue' })
    },
  )

  it('at an observation is ignored', async () => {
    const { hooks, engine, metric } = await openLab({ plugins: [actor('messy')] })
    const all = Object.keys(GARBAGE)
    for (const what of all) hooks.onObserve({ acts: { messy: `returns ${what}` } })
    await engine.flush()
    expect(await metric('plugin_calls_total')).toBe(all.length)
    // Whoever asks a value whether it is a promise looks at its then.
    expect(await metric('plugin_failures_total')).toBe(2)
  })

  it('after its deadline is not applied, to this call or another, and counted', async () => {
    const trail = createTrail()
    const late = actor('late', { timeoutMs: 60, config: { trail } })
    const { hooks, metric, said } = await openLab({ hangMs: 20_000, plugins: [late] })
    for (const [index, act] of [
      'blocks-until _ rejects no',
      'waits-until _ rejects no',
      'blocks-until _ throws no',
    ].entries()) {
      const line = `over-${index}`
      // What comes back while the host stands still is taken before anything is late: so it comes when the call has settled.
      const settled = await hooks.onGate({ acts: { late: act.replace('_', line) } })
      expect(settled).toMatchObject({ kind: 'reject', failure: { kind: 'timeout' } })
      const next = hooks.onGate({}, { timeoutMs: 5_000 }).then((verdict) => verdict.failure?.kind ?? verdict.kind)
      note(trail, line)
      expect(await next).toMatch(/continue|timeout/)
      await until('the lane to be idle', async () => (await metric('in_flight')) === 0)
    }
    // Those whose thread was blocked came back late; of a promise the lane lets go at the deadline.
    await until(
      'late completions',
      async () => (await metric('plugin_late_completions_total', { plugin: 'late' })) >= 2,
    )
    await until('the lane to serve', async () => (await hooks.onGate({})).kind === 'continue')
    expect(said.laneReplaced).toEqual([])
  })
})
