/** Changes of plugins that are asked for while another one is under way. */
import { describe, expect, it } from 'vitest'
import { actor, createTrail, openLab, readTrail, refusalOf, until } from '../support/lab.js'

const stateOf = ({ engine }: Awaited<ReturnType<typeof openLab>>, plugin: string) =>
  engine.plugins.find(({ name }) => name === plugin)?.state

describe('while a plugin is loaded again', () => {
  /** Resolves when the next version's setup runs, and is not done. */
  async function reloadSlowly({ engine }: Awaited<ReturnType<typeof openLab>>) {
    const trail = createTrail()
    const reloaded = engine.reload('one', { config: { trail, setup: 'waits 50' } })
    await until('its setup', () => readTrail(trail).includes('one setup'))
    return { reloaded }
  }

  it('an operator can quarantine it, and the new version is held', async () => {
    const lab = await openLab({ plugins: [actor('one')] })
    const { reloaded } = await reloadSlowly(lab)
    lab.engine.quarantine('one')
    await reloaded
    expect(stateOf(lab, 'one')).toBe('held')
    expect(await lab.hooks.onGate({ acts: { one: 'continues' } })).toMatchObject({ failure: { kind: 'quarantined' } })
  })

  it('an operator can release it, and the new version is asked', async () => {
    const lab = await openLab({ plugins: [actor('one')] })
    lab.engine.quarantine('one')
    const { reloaded } = await reloadSlowly(lab)
    lab.engine.release('one')
    await reloaded
    expect(stateOf(lab, 'one')).toBe('active')
    expect(await lab.hooks.onGate({ acts: { one: 'rejects no' } })).toMatchObject({ kind: 'reject', reason: 'no' })
  })

  it('it can be loaded once more, with what both changes ask for', async () => {
    const lab = await openLab({ plugins: [actor('one'), actor('two', { priority: 5 })] })
    await Promise.all([
      lab.engine.reload('one', { priority: 9 }),
      lab.engine.reload('one', { config: { version: '-second' } }),
    ])
    const verdict = await lab.hooks.onGate({ acts: { one: 'shows', two: 'rejects as the first' } })
    expect(verdict).toMatchObject({ plugin: 'one', reason: 'one-second saw ""' })
  })

  it('it can be removed; to load it after that is refused', async () => {
    const lab = await openLab({ plugins: [actor('one')] })
    const removed = lab.engine.remove('one')
    const reloaded = refusalOf(lab.engine.reload('one'))
    await removed
    expect((await reloaded).code).toBe('PLUGIN_UNKNOWN')
    expect(lab.engine.plugins).toEqual([])
  })
})
