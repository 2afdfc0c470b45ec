/** What a hook throws: its stack reaches the operator, and not whoever is shown the reason. */
import { isUndecided } from 'hookring/contracts'
import { describe, expect, it } from 'vitest'
import { actor, fixture, openLab, until } from '../support/lab.js'

const RUNTIMES = [
  ['module', actor('faulty'), /actor\.mjs:\d+/],
  ['module in a process', actor('faulty', { boundary: 'process', sandbox: 'best-effort' }), /\bat .*:\d+:\d+/],
  ['quickjs', { from: fixture('quickjs/actor.mjs'), name: 'faulty', runtime: 'quickjs' }, /\bat .*:\d+/],
  // ses keeps stacks from those who could learn from them.
  ['compartment', { from: fixture('compartment/actor.mjs'), name: 'faulty', runtime: 'compartment' }, /^/],
] as const

describe.each(RUNTIMES)('a hook of runtime %s that throws', (_name, plugin, place) => {
  it('leaves its error in the failure, in an event and in the log, and a neutral reason', async () => {
    const { engine, hooks, line } = await openLab({ plugins: [{ ...plugin, timeoutMs: 20_000 }] })
    const heard: object[] = []
    engine.on('pluginError', (error) => heard.push(error))
    const verdict = await hooks.onGate({ acts: { faulty: 'throws it broke' } })
    const error = { name: 'TypeError', message: 'it broke', stack: expect.stringMatching(place) }
    expect(verdict).toMatchObject({
      kind: 'reject',
      reason: 'the operation could not be checked',
      failure: { kind: 'error', message: expect.stringContaining('TypeError: it broke'), error },
    })
    expect(isUndecided(verdict)).toBe(true)
    const { level, fields } = await line(({ message }) => message === 'onGate threw: TypeError: it broke')
    expect({ level, fields }).toMatchObject({ level: 'warn', fields: { plugin: 'faulty', hookpoint: 'onGate' } })
    await until('the event', () => heard.length > 0)
    expect(heard).toEqual([{ plugin: 'faulty', hookpoint: 'onGate', error }])
  })
})

it('an error is bounded', async () => {
  const { hooks } = await openLab({ plugins: [actor('faulty')] })
  for (let id = 0; id < 3; id += 1) {
    const verdict = await hooks.onGate({ id, acts: { faulty: `throws ${'é'.repeat(3_000)}` } })
    const { failure } = verdict as { failure?: { error?: { message: string; stack: string } } }
    const { message = '', stack = '' } = failure?.error ?? {}
    expect(message).toMatch(/^é+… \(\d+ bytes\)$/)
    expect(Buffer.byteLength(message)).toBeLessThanOrEqual(384)
    expect(stack).toMatch(/^\s+at /)
    expect(Buffer.byteLength(message + stack)).toBeLessThanOrEqual(2048)
  }
})

it('a reject beside another plugin’s failure is a refusal', async () => {
  const { hooks } = await openLab({ plugins: [actor('faulty', { onFailure: 'allow' }), actor('strict')] })
  const verdict = await hooks.onGate({ acts: { faulty: 'throws', strict: 'rejects no' } })
  expect(verdict).toMatchObject({ kind: 'reject', plugin: 'strict', failure: { plugin: 'faulty' } })
  expect(isUndecided(verdict)).toBe(false)
})
