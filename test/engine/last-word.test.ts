/** Transforms that let a plugin have the last word (endsOn): who is asked after it, and who is not. */
import { createHookEngine } from 'hookring'
import { defineContract, exhook3, observe, transform } from 'hookring/contracts'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { z } from 'zod'
import { clientInfo } from '../support/exhook-broker.js'
import { fixture, silent } from '../support/lab.js'

const meta = { node: '', version: '', sysdescr: '', clusterName: '' }

describe.each(['one bulkhead', 'two bulkheads'])('in %s', (where) => {
  const open = () =>
    createHookEngine({
      contract: exhook3,
      plugins: ['a', 'b', 'c'].map((name) => ({
        from: fixture('exhook/actor.mjs'),
        name,
        timeoutMs: 5000,
        bulkhead: where === 'one bulkhead' ? 'shared' : name === 'b' ? 'other' : 'shared',
      })),
      spares: 0,
      logger: silent,
    })
  let engine: Awaited<ReturnType<typeof open>>
  beforeAll(async () => {
    engine = await open()
  })
  afterAll(() => engine.close())

  const ask = (password: string, isFinal = false) => {
    const { is_superuser, ...rest } = clientInfo(3, { password })
    const clientinfo = { ...rest, isSuperuser: is_superuser } as never
    return engine.hooks.onClientAuthenticate({ clientinfo, result: false, meta, isFinal })
  }

  it('a replacement that is the last word ends the chain, and plugins behind it are not asked', async () => {
    expect(await ask('a:yes! & b:no & c:never')).toMatchObject({
      kind: 'replace',
      plugin: 'a',
      event: { result: true, isFinal: true },
    })
    expect(await ask('b:yes! & c:never')).toMatchObject({ kind: 'replace', plugin: 'b', event: { result: true } })
  })

  it('a replacement that is not is what the next plugin sees', async () => {
    expect(await ask('a:yes & b:says & c:never')).toMatchObject({
      kind: 'replace',
      plugin: 'c',
      event: { result: false, isFinal: false },
    })
    expect(await ask('b:says')).toMatchObject({ kind: 'reject', plugin: 'b', reason: 'it is false' })
  })

  it('an event that begins with the word does not end a chain in which nobody speaks', async () => {
    expect(await ask('b:no', true)).toMatchObject({ kind: 'reject', plugin: 'b' })
    expect(await ask('', true)).toEqual({ kind: 'continue' })
  })
})

test('endsOn must name a boolean field of the event', () => {
  const event = z.object({ isLast: z.boolean().default(false), text: z.string() })
  const define = (endsOn: unknown) => defineContract('endings', 1, { onChange: transform(event, { endsOn } as never) })
  expect(define('isLast').hookpoints.onChange.endsOn).toBe('isLast')
  for (const wrong of ['text', 'missing', 7]) {
    expect(() => define(wrong)).toThrow(
      expect.objectContaining({
        code: 'CONTRACT_INVALID',
        message: expect.stringContaining('endings@1: onChange: endsOn'),
      }),
    )
  }
  expect(defineContract('endings', 1, { onSeen: observe(event) }).hookpoints.onSeen.endsOn).toBeNull()
})
