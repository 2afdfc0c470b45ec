import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { loginAuditor } from 'hookring/hooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recordingLogger } from '../support/recording-logger.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'login-auditor-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const failed = (username: string, failureReason = 'wrong password') => ({ username, success: false, failureReason })

test('a failed login is a warning on the host logger; a successful one is nothing', async () => {
  const logger = recordingLogger()
  await using engine = await createHookEngine({ contract: delivery, plugins: [loginAuditor()], logger })
  engine.hooks.onAuth({ username: 'ada', success: true, failureReason: '' })
  engine.hooks.onAuth(failed('mallory'))
  await engine.flush()
  await engine.close()
  expect(logger.lines.filter(({ message }) => message.includes('AUDIT'))).toMatchObject([
    {
      level: 'warn',
      message: "AUDIT: failed login for 'mallory': wrong password",
      fields: { plugin: 'login-auditor' },
    },
  ])
})

test('with a file, each failed login appends one line with the time', async () => {
  const file = join(folder, 'audit.log')
  for (const name of ['eve', 'mallory']) {
    await using engine = await createHookEngine({ contract: delivery, plugins: [loginAuditor({ file })] })
    engine.hooks.onAuth(failed(name))
    engine.hooks.onAuth({ username: 'ada', success: true, failureReason: '' })
    await engine.flush()
  }
  const lines = readFileSync(file, 'utf8').split('\n')
  expect(lines).toEqual([
    expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z AUDIT: failed login for 'eve': wrong password$/),
    expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z AUDIT: failed login for 'mallory': wrong password$/),
    '',
  ])
  expect(statSync(file).mode & 0o077).toBe(0)
})

test('without timestamps the lines are those of the example in quicprochat', async () => {
  const file = join(folder, 'audit.log')
  await using engine = await createHookEngine({
    contract: delivery,
    plugins: [loginAuditor({ file, timestamps: false })],
  })
  engine.hooks.onAuth(failed('mallory', 'unknown user'))
  await engine.flush()
  expect(readFileSync(file, 'utf8')).toBe("AUDIT: failed login for 'mallory': unknown user\n")
})

test.each([
  ['a line feed', "eve': x\nAUDIT: failed login for 'ada", "'eve\\': x\\nAUDIT: failed login for \\'ada'"],
  ['a carriage return', 'eve\rroot', "'eve\\rroot'"],
  ['a terminal escape', 'eve\u001b[2J\u009b1m', "'eve\\u{1b}[2J\\u{9b}1m'"],
  ['a bidirectional override', 'eve\u202Etoor', "'eve\\u{202e}toor'"],
  ['a line separator', 'eve\u2028x', "'eve\\u{2028}x'"],
  ['a backslash', 'eve\\n', "'eve\\\\n'"],
  ['a NUL', 'eve\0', "'eve\\u{0}'"],
])('%s in a name cannot forge a line', async (_, username, shown) => {
  const file = join(folder, 'audit.log')
  await using engine = await createHookEngine({
    contract: delivery,
    plugins: [loginAuditor({ file, timestamps: false })],
  })
  engine.hooks.onAuth(failed(username, 'no\nsuch user'))
  await engine.flush()
  expect(readFileSync(file, 'utf8')).toBe(`AUDIT: failed login for ${shown}: no\\nsuch user\n`)
})

test('a long name is cut, and the line says by how much', async () => {
  const file = join(folder, 'audit.log')
  await using engine = await createHookEngine({
    contract: delivery,
    plugins: [loginAuditor({ file, timestamps: false })],
  })
  engine.hooks.onAuth(failed('x'.repeat(100_000)))
  await engine.flush()
  const expected = `AUDIT: failed login for '${'x'.repeat(256)}...(99744 more)': wrong password\n`
  expect(readFileSync(file, 'utf8')).toBe(expected)
})

test('a folder that does not exist is refused when the plugin is set up', async () => {
  const plugin = loginAuditor({ file: join(folder, 'missing', 'audit.log') })
  await expect(createHookEngine({ contract: delivery, plugins: [plugin] })).rejects.toThrow(/ENOENT/)
})
