/** Where the connection server of `hookring serve` listens: TLS, and the mode of a unix socket. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'hookring/connection'
import { expect, onTestFinished, test } from 'vitest'
import { runCommand, startCommand } from '../support/command.js'
import { fixture } from '../support/lab.js'

const pem = (name: string) => fileURLToPath(fixture(`exhook/tls/${name}`))

function write(listen: readonly object[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'hookring-serve-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'serve.json')
  writeFileSync(file, JSON.stringify({ connection: { listen } }))
  return file
}

test('serves by TLS, and by a unix socket of its owner alone', async () => {
  const tls = { cert: pem('server.pem'), key: pem('server.key') }
  const config = write([
    { port: 0, tls },
    { path: './ipc.sock', mode: '600' },
  ])
  const { child, ended } = startCommand(['serve', config])
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (part) => {
      said += part
      if (said.includes('"msg":"ready"')) resolve()
    })
    void ended.then(({ stderr }) => reject(new Error(stderr)))
  })
  const port = Number(/tls:\/\/127\.0\.0\.1:(\d+)/.exec(said)?.[1])
  const path = join(config, '../ipc.sock')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const secured = { port, tls: { ca: readFileSync(pem('ca.pem')), serverName: 'localhost' } }
  for (const where of [secured, { path }]) {
    const c = await connect(where)
    expect(c.isOpen).toBe(true)
    await c.close()
  }
  child.kill('SIGTERM')
  expect(await ended).toMatchObject({ code: 0 })
})

test.each([
  ['a certificate that is not there', { port: 0, tls: { cert: 'no.pem', key: 'no.key' } }, /CONFIG_INVALID: .*no\.pem/],
  ['a mode that is none', { path: 'x.sock', mode: '999' }, /CONFIG_INVALID/],
])('%s is refused', async (_, where, expected) => {
  const { code, stderr, stdout } = await runCommand(['serve', write([where])])
  expect(`${stderr}${stdout}`).toMatch(expected)
  expect(code).toBe(2)
})
