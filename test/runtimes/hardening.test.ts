/** Threads of trusted plugins: what a plugin does by accident to its process does not happen to the server. */
import type { PluginOptions } from 'hookring'
import { describe, expect, it, onTestFinished } from 'vitest'
import { actor, openLab, refusalOf } from '../support/lab.js'
import { written } from '../support/written-plugins.js'

/** What comes of `expression` in a plugin. */
async function inPlugin(expression: string, options: Partial<PluginOptions> = {}): Promise<string> {
  const { from } = await written(
    `import inspector from 'node:inspector'
     const told = () => {
       try {
         return String(${expression})
       } catch (error) {
         return error.code + ': ' + error.message
       }
     }`,
    '{ onGate: () => reject(told()) }',
  )
  const { hooks } = await openLab({ plugins: [{ from, timeoutMs: 5_000, ...options }] })
  const verdict = await hooks.onGate({})
  // The lane lives, whatever was attempted.
  expect(await hooks.onGate({})).toEqual(verdict)
  return verdict.kind === 'reject' ? verdict.reason : verdict.kind
}

describe('a plugin in a thread', () => {
  it.each([
    ['by its id', 'process.kill(process.pid)'],
    ['by its id and a signal', "process.kill(process.pid, 'SIGKILL')"],
    ['with its group', 'process.kill(0)'],
    ['with its group, by its id', 'process.kill(-process.pid)'],
    ['with everything else', 'process.kill(-1)'],
    ['by its parent', 'process.kill(process.ppid)'],
  ])('does not signal the server %s', async (_what, expression) => {
    expect(await inPlugin(expression)).toMatch(/^HOST_PROTECTED: process\.kill\(-?\d+\) is kept from plugins/)
  })

  it('may ask whether a process is there, and signal others', async () => {
    expect(await inPlugin('process.kill(process.pid, 0)')).toBe('true')
    expect(await inPlugin("process.kill(2 ** 22 + 1, 'SIGTERM')")).toMatch(/^ESRCH/)
  })

  it('does not abort the server', async () => {
    expect(await inPlugin('process.abort()')).toMatch(/^HOST_PROTECTED: process\.abort/)
  })

  it('does not run code in the server’s own thread', async () => {
    expect(await inPlugin('new inspector.Session().connectToMainThread()')).toMatch(/^HOST_PROTECTED: inspector/)
  })

  it('does not change the server’s working directory or user', async () => {
    expect(await inPlugin("process.chdir('/')")).toMatch(/^ERR_WORKER_UNSUPPORTED_OPERATION/)
    expect(await inPlugin('process.setuid(65534)')).toMatch(/^ERR_WORKER_UNSUPPORTED_OPERATION|is not a function/)
  })

  it('that calls without end is stopped by its stack', async () => {
    expect(await inPlugin('(function deeper() { return deeper() + 1 })()')).toMatch(/Maximum call stack size exceeded/)
  })

  it('exits alone', async () => {
    const { hooks, heard, said } = await openLab({ spares: 1, plugins: [actor('a', { timeoutMs: 5_000 })] })
    expect(await hooks.onGate({ acts: { a: 'exits 3' } })).toMatchObject({ failure: { kind: 'crash' } })
    await heard('laneReplaced')
    expect(said.laneReplaced).toMatchObject([{ reason: 'exit', plugin: 'a' }])
    expect(await hooks.onGate({})).toEqual({ kind: 'continue' })
  })
})

describe('the environment of plugins', () => {
  const secret = () => {
    process.env.HOOKRING_TEST_SECRET = 'not for plugins'
    process.env.HOOKRING_TEST_REGION = 'north'
    onTestFinished(() => {
      delete process.env.HOOKRING_TEST_SECRET
      delete process.env.HOOKRING_TEST_REGION
    })
  }

  it('is empty', async () => {
    secret()
    expect(await inPlugin('JSON.stringify(process.env)')).toBe('{}')
  })

  it('has what the operator names of the server’s, if it is there', async () => {
    secret()
    const env = ['HOOKRING_TEST_REGION', 'HOOKRING_TEST_ABSENT']
    expect(await inPlugin('JSON.stringify(process.env)', { env })).toBe('{"HOOKRING_TEST_REGION":"north"}')
  })

  it('has the operator’s own values', async () => {
    expect(await inPlugin('JSON.stringify(process.env)', { env: { LEVEL: 'low' } })).toBe('{"LEVEL":"low"}')
  })

  it('is one for all plugins of a bulkhead, which must not disagree', async () => {
    const shared = { bulkhead: 'b', timeoutMs: 5_000 }
    const { from } = await written('', '{ onGate: () => reject(JSON.stringify(process.env)) }')
    const { hooks } = await openLab({
      plugins: [{ from, ...shared, env: { ONE: '1' } }, actor('a', { ...shared, env: { TWO: '2' } })],
    })
    const verdict = await hooks.onGate({})
    expect(JSON.parse(verdict.kind === 'reject' ? verdict.reason : '')).toEqual({ ONE: '1', TWO: '2' })
    const error = await refusalOf(
      openLab({
        plugins: [actor('a', { ...shared, env: { ONE: '1' } }), actor('c', { ...shared, env: { ONE: '2' } })],
      }),
    )
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', plugin: 'c', path: ['env.ONE'] })
  })
})
