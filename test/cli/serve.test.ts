/** `hookring serve`, run as a user does, with real MQTT clients. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'hookring/connection'
import { connectAsync } from 'mqtt'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type CommandRun, runCommand, startCommand } from '../support/command.js'
import { connectBroker } from '../support/exhook-broker.js'
import { fixture } from '../support/lab.js'

let folder: string
let written = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hookring-serve-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function write(name: string, content: string | object): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

/** Resolves with what it printed, when it serves. */
function whenReady({ child, ended }: CommandRun): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout?.on('data', (part) => {
      text += part
      if (text.includes('serve: ready')) resolve(text)
    })
    void ended.then(({ stderr }) => reject(new Error(`it ended: ${stderr}`)))
  })
}

const portIn = (text: string): number => Number(/tcp:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1])

describe('a broker from a config file', () => {
  test('in JSON, with a shipped hook by name, metrics, and an orderly end at SIGTERM', async () => {
    const diary = join(folder, 'diary')
    await write(
      'diary.mjs',
      `import { appendFileSync } from 'node:fs'
      import { mqtt } from ${JSON.stringify(import.meta.resolve('hookring/contracts'))}
      import { definePlugin } from ${JSON.stringify(import.meta.resolve('hookring/plugin'))}
      const note = (text) => appendFileSync(${JSON.stringify(diary)}, text + '\\n')
      export default definePlugin(mqtt, {
        name: 'diary',
        setup: () => ({
          onConnected: ({ client }) => note('connected ' + client.clientId),
          onDisconnect: ({ client }) => note('disconnected ' + client.clientId),
          onShutdown: () => note('shutdown'),
          destroy: () => note('destroyed'),
        }),
      })`,
    )
    const config = await write('broker.json', {
      mqtt: {
        listen: [{ port: 0 }, { path: './mqtt.sock' }],
        plugins: [{ hook: 'auth', config: { credentials: { ada: 'secret' } } }, { from: './diary.mjs' }],
      },
      metrics: { listen: { port: 0 } },
    })
    const run = startCommand(['serve', config])
    const text = await whenReady(run)
    expect(text).toContain('plugins: auth, diary')
    expect(text).toContain(`unix:${join(folder, 'mqtt.sock')}`)

    const options = { port: portIn(text), host: '127.0.0.1', reconnectPeriod: 0 }
    await expect(connectAsync({ ...options, username: 'ada', password: 'wrong' })).rejects.toMatchObject({ code: 4 })
    const client = await connectAsync({ ...options, clientId: 'one', username: 'ada', password: 'secret' })
    client.on('error', () => {})
    const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
    const scraped = await fetch(/http:\S+\/metrics/.exec(text)?.[0] as string)
    expect(await scraped.text()).toMatch(/hookring_\w+\{[^}]*contract="mqtt@1"/)

    run.child.kill('SIGTERM')
    await closed
    expect(await run.ended).toMatchObject({ code: 0, stderr: '' })
    expect((await readFile(diary, 'utf8')).trim().split('\n')).toEqual([
      'connected one',
      'shutdown',
      'disconnected one',
      'destroyed',
    ])
    expect(existsSync(join(folder, 'mqtt.sock'))).toBe(false)
  })

  test('in TypeScript, with a function for each shipped hook', async () => {
    const config = await write(
      'hookring.config.ts',
      `import { defineConfig } from ${JSON.stringify(import.meta.resolve('hookring'))}
      import { acl } from ${JSON.stringify(import.meta.resolve('hookring/hooks'))}
      const port: number = 0
      export default defineConfig({
        mqtt: { listen: [{ port }], plugins: [acl({ rules: [{ topicFilter: 'news/#', read: true }], denyByDefault: true })] },
      })`,
    )
    const run = startCommand(['serve', config])
    const port = portIn(await whenReady(run))
    const client = await connectAsync({ port, host: '127.0.0.1', reconnectPeriod: 0 })
    const [granted] = await client.subscribeAsync('news/today')
    expect(granted).toMatchObject({ qos: 0 })
    await expect(client.subscribeAsync('secret/#')).rejects.toThrow()
    await client.endAsync()
    run.child.kill('SIGINT')
    expect(await run.ended).toMatchObject({ code: 0 })
  })
})

test('a broker, a connection server and an ExHook provider, side by side in one process', async () => {
  await write(
    'answer.mjs',
    `import { connection } from ${JSON.stringify(import.meta.resolve('hookring/contracts'))}
    import { definePlugin } from ${JSON.stringify(import.meta.resolve('hookring/plugin'))}
    export default definePlugin(connection, { name: 'answer', setup: () => ({ sync: ({ body }) => ({ body }) }) })`,
  )
  const config = await write('all.json', {
    mqtt: { listen: [{ port: 0 }] },
    connection: {
      listen: [{ path: './ipc.sock' }],
      server: { users: { ada: 'secret' } },
      plugins: [{ from: './answer.mjs' }],
      engine: { timeoutMs: 5_000 },
    },
    exhook: {
      provider: { address: '127.0.0.1:0' },
      plugins: [{ from: fileURLToPath(fixture('exhook/actor.mjs')) }],
      engine: { timeoutMs: 5_000 },
    },
    metrics: { listen: { port: 0 } },
  })
  const run = startCommand(['serve', config])
  onTestFinished(() => void run.child.kill('SIGKILL'))
  const text = await whenReady(run)

  const client = await connect({ path: join(folder, 'ipc.sock'), user: 'ada', password: 'secret' })
  expect(await client.sync({ n: 1 })).toEqual({ n: 1 })
  await client.close()
  const broker = connectBroker(3, /exhook on (\S+),/.exec(text)?.[1] as string)
  expect(await broker.call('OnProviderLoaded', {})).toMatchObject({ hooks: expect.any(Array) })
  broker.close()
  const mqttClient = await connectAsync({ port: portIn(text), host: '127.0.0.1', reconnectPeriod: 0 })
  await mqttClient.endAsync()
  const scraped = await (await fetch(/http:\S+\/metrics/.exec(text)?.[0] as string)).text()
  for (const contract of ['mqtt@1', 'connection@1', 'exhook@3']) expect(scraped).toContain(`contract="${contract}"`)

  run.child.kill('SIGTERM')
  expect(await run.ended).toMatchObject({ code: 0 })
})

describe.concurrent('what will not do is said with its code and where it stands', () => {
  test.each([
    ['an unknown option', { mqtt: { lissten: [] } }, /CONFIG_INVALID: .*\.json\.mqtt: .*lissten/],
    ['a port that is none', { mqtt: { listen: [{ port: 70_000 }] } }, /CONFIG_INVALID: .*mqtt\.listen\[0\]/],
    ['a hook that does not ship', { mqtt: { plugins: [{ hook: 'magic' }] } }, /CONFIG_INVALID: .*plugins\[0\]\.hook/],
    ['neither hook nor from', { mqtt: { plugins: [{ config: {} }] } }, /CONFIG_INVALID: .*plugins\[0\].*from or hook/],
    [
      'users that are none',
      { connection: { listen: [{ path: 'x.sock' }], server: { users: 1 } } },
      /OPTIONS_INVALID: .*users/,
    ],
    ['an address of the provider', { exhook: { provider: { address: 'here' } } }, /OPTIONS_INVALID: .*address/],
    ['nothing to start', {}, /CONFIG_INVALID: .*must name a server/],
    ['a file that is no JSON', '{', /CONFIG_INVALID: .*is no JSON/],
    ['a config of a hook', { mqtt: { plugins: [{ hook: 'acl', config: { rules: 1 } }] } }, /PLUGIN_CONFIG_INVALID: /],
    ['an option of the engine', { mqtt: { engine: { timeoutMs: 'long' } } }, /OPTIONS_INVALID: .*timeoutMs/],
    [
      'a certificate that is not there',
      { mqtt: { listen: [{ port: 0, tls: { cert: 'none.pem', key: 'none.pem' } }] } },
      /CONFIG_INVALID: tls: /,
    ],
  ])('%s', async (_, content, message) => {
    written += 1
    const { code, stderr, stdout } = await runCommand(['serve', await write(`bad-${written}.json`, content)])
    expect({ code, stderr, stdout }).toEqual({ code: 2, stderr: expect.stringMatching(message), stdout: '' })
  })

  test('a config that is not there', async () => {
    const { code, stderr } = await runCommand(['serve', join(folder, 'none.json')])
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('CONFIG_NOT_FOUND') })
  })

  test('an address that is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as AddressInfo
    const { code, stderr } = await runCommand(['serve', await write('taken.json', { mqtt: { listen: [{ port }] } })])
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/LISTEN_FAILED: .*EADDRINUSE/) })
    taken.close()
  })

  test('with --check nothing is started', async () => {
    const { code, stdout } = await runCommand(['serve', await write('good.json', { mqtt: {} }), '--check'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('will do') })
  })
})
