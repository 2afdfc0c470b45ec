import { expect, it } from 'vitest'
import { actor, openLab } from '../support/lab.js'
it('works', async () => {
  const t = performance.now()
  const { hooks, metric, engine } = await openLab({ plugins: [actor('one'), actor('two')] })
  const t1 = performance.now()
  expect(await hooks.onTransform({ id: 1, acts: { one: 'marks', two: 'marks' } })).toMatchObject({ kind: 'replace', event: { text: '+one+two' } })
  expect(await metric('plugin_calls_total', { plugin: 'one' })).toBe(1)
  const t2 = performance.now()
  await engine.close()
  console.log(t1 - t, t2 - t1, performance.now() - t2)
})
it('works', async () => {
  const t = performance.now()
  const { hooks, metric, engine } = await openLab({ plugins: [actor('one'), actor('two')] })
  const t1 = performance.now()
  expect(await hooks.onTransform({ id: 1, acts: { one: 'marks', two: 'marks' } })).toMatchObject({ kind: 'replace', event: { text: '+one+two' } })
  expect(await metric('plugin_calls_total', { plugin: 'one' })).toBe(1)
  const t2 = performance.now()
  await engine.close()
  console.log(t1 - t, t2 - t1, performance.now() - t2)
})
