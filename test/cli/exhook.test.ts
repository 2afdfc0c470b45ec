/** `hookring exhook` as an operator and a broker meet it. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { credentials } from '@grpc/grpc-js'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runCommand, startCommand } from '../support/command.js'
import { clientInfo, connectBroker, message } from '../support/exhook-broker.js'
import { fixture } from '../support/lab.js'

const path = (name: string) => fileURLToPath(fixture(`exhook/${name}`))
const ACTOR = path('actor.mjs')
const LISTEN = ['--listen', '127.0.0.1:0']

/** Resolves with the address when it listens. */
async function start(...args: string[]) {
  const { child, ended } = startCommand(['exhook', ...args])
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout?.on('data', (text) => (said += text))
  while (!said.includes('\n')) {
    await Promise.race([
      once(child.stdout as never, 'data'),
      ended.then(({ stderr }) => Promise.reject(new Error(stderr))),
    ])
  }
  const address = /^listening at (\S+) \(exhook v1, v2, v3\)\n$/.exec(said)?.[1] as string
  return { address, child, ended }
}

const question = (password: string) => ({ clientinfo: clientInfo(3, { password }) })

test('serves until SIGTERM, then tells the plugins, destroys them, and exits with 0', async () => {
  const { address, child, ended } = await start('--plugins', ACTOR, ...LISTEN, '--timeout', '5000', '--topics', 'up/#')
  const broker = connectBroker(3, address)
  const { hooks } = (await broker.call('OnProviderLoaded', {})) as { hooks: object[] }
  expect(hooks).toContainEqual({ name: 'message.publish', topics: ['up/#'] })
  expect(await broker.call('OnClientAuthenticate', question('yes!'))).toMatchObject({ bool_result: true })
  broker.close()
  child.kill('SIGTERM')
  const { code, signal, stderr } = await ended
  expect({ code, signal }, stderr).toEqual({ code: 0, signal: null })
  const lines = [...stderr.matchAll(/^\[hookring actor\] info: (onShutdown|destroy)\b/gm)].map(([, stage]) => stage)
  expect(lines).toEqual(['onShutdown', 'destroy'])
})

test('serves brokers with certificates, and untrusted plugins whose failures are let pass', async () => {
  const tls = ['--cert', path('tls/server.pem'), '--key', path('tls/server.key'), '--ca', path('tls/ca.pem')]
  const untrusted = ['--trust', 'untrusted', '--on-failure', 'allow']
  const { address, child, ended } = await start('--plugins', path('untrusted.mjs'), ...LISTEN, ...tls, ...untrusted)
  const pem = (name: string) => readFileSync(path(`tls/${name}`))
  const broker = connectBroker(1, address, credentials.createSsl(pem('ca.pem'), pem('broker.key'), pem('broker.pem')), {
    ...{ 'grpc.ssl_target_name_override': 'localhost', 'grpc.default_authority': 'localhost' },
  })
  expect(await broker.call('OnClientCheckAcl', { ...question(''), topic: 'open' })).toMatchObject({
    ...{ type: 'STOP_AND_RETURN', bool_result: true },
  })
  expect(await broker.call('OnClientCheckAcl', { ...question(''), topic: 'throws' })).toMatchObject({ type: 'IGNORE' })
  broker.close()
  child.kill('SIGINT')
  expect((await ended).code).toBe(0)
})

test('sizes are options, and what is larger is answered by the policy', async () => {
  const sizes = ['--max-event-bytes', '8192', '--max-request-bytes', '20000']
  const { address } = await start('--plugins', ACTOR, ...LISTEN, '--timeout', '5000', ...sizes)
  const broker = connectBroker(3, address)
  const publish = (bytes: number) =>
    broker.call('OnMessagePublish', { message: message({ payload: Buffer.alloc(bytes), headers: { act: 'topic x' } }) })
  expect(await publish(4_000)).toMatchObject({ type: 'CONTINUE', message: { topic: 'x' } })
  for (const bytes of [10_000, 30_000]) {
    expect(await publish(bytes)).toMatchObject({ message: { headers: { allow_publish: 'false' } } })
  }
  broker.close()
})

describe('what is wrong is said with its code, and exits with 2', () => {
  test.each([
    ['no plugins', [], /required option '--plugins <plugin...>'/],
    ['a certificate without a key', ['--plugins', ACTOR, '--cert', path('tls/server.pem')], /OPTIONS_INVALID: .*--key/],
    ['a file that is not there', ['--plugins', ACTOR, '--cert', 'missing.pem'], /missing\.pem cannot be read/],
    ['an address that is none', ['--plugins', ACTOR, '--listen', 'here'], /OPTIONS_INVALID: options\.address/],
    ['a plugin for another contract', ['--plugins', ACTOR, '--contract', 'exhook@2'], /PLUGIN_CONTRACT_MISMATCH/],
  ])('%s', async (_, args, expected) => {
    const { code, stderr } = await runCommand(['exhook', ...args])
    expect(stderr).toMatch(expected)
    expect(code).toBe(2)
  })

  test('an address that is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    onTestFinished(() => void taken.close())
    const { port } = taken.address() as { port: number }
    const { code, stderr } = await runCommand(['exhook', '--plugins', ACTOR, '--listen', `127.0.0.1:${port}`])
    expect(stderr).toMatch(/LISTEN_FAILED: cannot listen at 127\.0\.0\.1/)
    expect(code).toBe(2)
  })
})
