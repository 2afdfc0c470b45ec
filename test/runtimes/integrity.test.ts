/** Plugins that are named by their hash: nothing else runs in their place. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { checkIntegrity } from '../../dist/host/sources/integrity.js'
import { openLab, refusalOf } from '../support/lab.js'
import { written } from '../support/written-plugins.js'

const hash = (algorithm: string, bytes: string | Uint8Array) =>
  `${algorithm}-${createHash(algorithm).update(bytes).digest('base64')}`

const check = (bytes: string, integrity: string) =>
  refusalOf(Promise.resolve().then(() => checkIntegrity(Buffer.from(bytes), integrity, 'a.mjs')))

describe('an integrity value', () => {
  it.each(['sha256', 'sha384', 'sha512'])('of %s matches its bytes and no others', async (algorithm) => {
    checkIntegrity(Buffer.from('code'), hash(algorithm, 'code'), 'a.mjs')
    const error = await check('codes', hash(algorithm, 'code'))
    expect(error).toMatchObject({ code: 'INTEGRITY_MISMATCH', path: ['integrity'] })
    expect(error.message).toContain(hash(algorithm, 'codes'))
  })

  it('with several hashes is met by any of the strongest, and by no weaker one', async () => {
    const values = [hash('sha512', 'other'), hash('sha512', 'code'), hash('sha256', 'older')].join(' ')
    checkIntegrity(Buffer.from('code'), values, 'a.mjs')
    expect(await check('older', values)).toMatchObject({ code: 'INTEGRITY_MISMATCH' })
  })

  it('that is cut short matches nothing', async () => {
    expect(await check('code', hash('sha256', 'code').slice(0, 20))).toMatchObject({ code: 'INTEGRITY_MISMATCH' })
  })
})

describe('a plugin with an integrity value', () => {
  it('runs when its file has that hash', async () => {
    const { from, text } = await written('', "{ onGate: () => reject('it runs') }")
    const { hooks } = await openLab({ plugins: [{ from, integrity: hash('sha384', text), timeoutMs: 5_000 }] })
    expect(await hooks.onGate({})).toMatchObject({ reason: 'it runs' })
  })

  it.each([
    ['module', 'thread'],
    ['quickjs', 'thread'],
    ['compartment', 'thread'],
    ['module', 'process'],
  ] as const)(
    'is refused as %s in a %s when its file has another, before any of it runs',
    async (runtime, boundary) => {
      const { from } = await written("throw new Error('it ran')")
      const integrity = hash('sha384', 'something else')
      const error = await refusalOf(openLab({ plugins: [{ from, runtime, boundary, integrity }] }))
      expect(error).toMatchObject({ code: 'INTEGRITY_MISMATCH' })
    },
  )

  it('goes on as it was checked when its file changes', async () => {
    const { from, text } = await written('', "{ onGate: () => reject('first') }")
    const { hooks, engine } = await openLab({
      plugins: [{ from, name: 'a', integrity: hash('sha256', text), timeoutMs: 5_000 }],
    })
    await writeFile(from, text.replace('first', 'second'))
    expect(await hooks.onGate({})).toMatchObject({ reason: 'first' })
    expect(await refusalOf(engine.reload('a'))).toMatchObject({ code: 'INTEGRITY_MISMATCH' })
    expect(await hooks.onGate({})).toMatchObject({ reason: 'first' })
  })

  it.each([
    ['module', 'thread'],
    ['module', 'process'],
    ['quickjs', 'thread'],
  ] as const)('as %s in a %s must bring all that it runs', async (runtime, boundary) => {
    const { from, text } = await written("import '../../test/fixtures/lab/garbage.mjs'")
    const integrity = hash('sha512', text)
    const error = await refusalOf(openLab({ plugins: [{ from, runtime, boundary, integrity }] }))
    expect(error).toMatchObject({ code: 'PLUGIN_IMPORT_FAILED' })
    expect(error.message).toMatch(/does not cover .*make one file of them/)
  })

  it('of another form is refused', async () => {
    const { from } = await written('')
    expect(await refusalOf(openLab({ plugins: [{ from, integrity: 'md5-abc' }] }))).toMatchObject({
      code: 'OPTIONS_INVALID',
      path: ['integrity'],
    })
  })
})
