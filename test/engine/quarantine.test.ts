/** Plugins that fail too often are not asked, until a probe succeeds or an operator lifts it. */
import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, readTrail, until } from '../support/lab.js'

describe('quarantine', () => {
  const quarantine = { windowMs: 10_000, minFailures: 4, ratio: 0.5, cooldownMs: 150 }
  /** One of a millisecond is over. */
  const cooldown = async () => {
    const openedMs = performance.now()
    await until('the cooldown to be over', () => performance.now() > openedMs + 1)
  }
  const stateOf = (lab: Awaited<ReturnType<typeof openLab>>, plugin: string) =>
    lab.engine.plugins.find(({ name }) => name === plugin)?.state

  it('opens when a plugin fails too often, and closes when a probe succeeds', async () => {
    const trail = createTrail()
    const lab = await openLab({ quarantine, plugins: [actor('bad', { config: { trail } })] })
    const { hooks, said, metric } = lab
    for (let id = 1; id <= 4; id += 1) await hooks.onGate({ id, acts: { bad: 'throws x' } })
    expect(stateOf(lab, 'bad')).toBe('quarantined')
    expect(await metric('quarantined', { plugin: 'bad' })).toBe(2)
    expect(await hooks.onGate({ id: 5 })).toMatchObject({
      kind: 'reject',
      plugin: 'bad',
      failure: { kind: 'quarantined' },
    })
    await lab.heard('pluginQuarantined')
    expect(said.pluginQuarantined).toEqual([{ plugin: 'bad', by: 'failures', calls: 4, failures: 4 }])

    // Its probe fails: the cooldown begins again, and is longer.
    let id = 10
    const knock = (act: string) =>
      until('a probe', async () => {
        id += 1
        const verdict = await hooks.onGate({ id, acts: { bad: act } })
        return verdict.failure?.kind !== 'quarantined'
      })
    await knock('throws again')
    expect(stateOf(lab, 'bad')).toBe('quarantined')
    await knock('continues')
    expect(stateOf(lab, 'bad')).toBe('active')
    await lab.heard('pluginReleased')
    expect(said.pluginReleased).toEqual([{ plugin: 'bad' }])
    expect(await metric('quarantined', { plugin: 'bad' })).toBe(0)
    // Four calls and two probes.
    expect(readTrail(trail).filter((line) => /\d$/.test(line))).toHaveLength(6)
    expect(await hooks.onGate({ id: 1_000 })).toEqual({ kind: 'continue' })
  })

  it('by hand lasts until it is lifted by hand', async () => {
    const lab = await openLab({
      quarantine: { ...quarantine, cooldownMs: 1 },
      plugins: [actor('held', { onFailure: 'allow' })],
    })
    lab.engine.quarantine('held')
    expect(stateOf(lab, 'held')).toBe('held')
    expect(await lab.metric('quarantined', { plugin: 'held' })).toBe(3)
    await cooldown()
    expect(await lab.hooks.onGate({ acts: { held: 'rejects no' } })).toMatchObject({
      kind: 'continue',
      failure: { kind: 'quarantined' },
    })
    lab.engine.release('held')
    expect(await lab.hooks.onGate({ acts: { held: 'rejects no' } })).toMatchObject({ kind: 'reject' })
    await lab.heard('pluginReleased')
    expect(lab.said.pluginQuarantined).toMatchObject([{ plugin: 'held', by: 'operator' }])
  })

  it('is not stuck when the probe’s chain ends before the probe is asked', async () => {
    const lab = await openLab({
      quarantine: { ...quarantine, cooldownMs: 1 },
      plugins: [actor('first'), actor('bad', { onFailure: 'allow' })],
    })
    for (let id = 1; id <= 4; id += 1) await lab.hooks.onGate({ id, acts: { bad: 'throws x' } })
    expect(stateOf(lab, 'bad')).toBe('quarantined')
    await cooldown()
    // Each of these would be the probe; another plugin ends the chain before.
    expect(await lab.hooks.onGate({ acts: { first: 'rejects no' } })).toMatchObject({ kind: 'reject', plugin: 'first' })
    expect(await lab.hooks.onGate({ acts: { first: 'throws x' } })).toMatchObject({ kind: 'reject', plugin: 'first' })
    await until(
      'the next call to be the probe',
      async () => {
        await lab.hooks.onGate({ id: 9 })
        return stateOf(lab, 'bad') === 'active'
      },
      3_000,
    )
  })

  it('is opened by hangs and crashes as by any failure', async () => {
    const lab = await openLab({
      quarantine: { ...quarantine, minFailures: 2, cooldownMs: 60_000 },
      hangMs: 0,
      plugins: [actor('bad', { timeoutMs: 60, onFailure: 'allow' })],
    })
    await lab.hooks.onGate({ acts: { bad: 'loops' } })
    await lab.heard('laneReplaced')
    await lab.hooks.onGate({ acts: { bad: 'exits 1' } })
    await lab.heard('pluginQuarantined')
    expect(stateOf(lab, 'bad')).toBe('quarantined')
  })
})
