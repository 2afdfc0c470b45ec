/** `hookring serve`, run as a user does, with real MQTT clients. */
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { connect } from 'hookring/connection'
import { connectAsync } from 'mqtt'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type CommandRun, runCommand, startCommand } from '../support/command.js'
import { connectBroker } from '../support/exhook-broker.js'
import { fixture, until } from '../support/lab.js'
import { noRedis, startRedis } from '../support/redis.js'

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
      if (text.includes('"msg":"ready"')) resolve(text)
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
    const scraped = await fetch(/http:[^"\s]+\/metrics/.exec(text)?.[0] as string)
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
  const scraped = await (await fetch(/http:[^"\s]+\/metrics/.exec(text)?.[0] as string)).text()
  for (const contract of ['mqtt@1', 'connection@1', 'exhook@3']) expect(scraped).toContain(`contract="${contract}"`)

  run.child.kill('SIGTERM')
  expect(await run.ended).toMatchObject({ code: 0 })
})

describe('a broker that runs', () => {
  /** Starts one of a JSON config that lies in the folder; killed at the end. */
  async function started(name: string, config: object) {
    const file = await write(name, config)
    const run = startCommand(['serve', file])
    onTestFinished(() => void run.child.kill('SIGKILL'))
    const text = await whenReady(run)
    let said = text
    run.child.stdout?.on('data', (part) => {
      said += part
    })
    const address = { port: portIn(text), host: '127.0.0.1', reconnectPeriod: 0 }
    return { file, run, address, text, said: () => said }
  }

  test('loads its plugins anew at SIGHUP, and stays as it was where the config will not do', async () => {
    const plugins = (...more: object[]) => ({ mqtt: { listen: [{ port: 0 }], plugins: more } })
    const open = { hook: 'acl', config: { rules: [] } }
    const { file, run, address, said } = await started('reload.json', plugins(open, { hook: 'logger', priority: 5 }))
    const client = await connectAsync(address)
    expect(await client.subscribeAsync('secret/a')).toMatchObject([{ qos: 0 }])

    const closed = { hook: 'acl', config: { rules: [{ topicFilter: 'secret/#' }] } }
    await writeFile(file, JSON.stringify(plugins(closed, { hook: 'rate-limit', config: { publishRate: 0 } })))
    run.child.kill('SIGHUP')
    await until('the change', () => said().includes('loaded anew'))
    expect(said()).toMatch(
      /"reloaded":\["acl"\],"added":\["rate-limit"\],"removed":\["logger"\],"kept":\[\],"failed":0/,
    )
    // Who is connected stays so.
    await expect(client.subscribeAsync('secret/b')).rejects.toThrow()

    await writeFile(file, '{ "mqtt": { "lissten": [] } }')
    run.child.kill('SIGHUP')
    await until('the refusal', () => said().includes('the config stays as it was'))
    // What was to take the acl's place fails: the acl is not removed.
    await writeFile(file, JSON.stringify(plugins({ hook: 'acl', name: 'other', config: { rulez: [] } })))
    run.child.kill('SIGHUP')
    await until(
      'the refusal',
      () => said().includes('a plugin stays as it was') && said().includes('"kept":["rate-limit","acl"]'),
    )
    await expect(client.subscribeAsync('secret/c')).rejects.toThrow()
    await client.endAsync()
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 0 })
  })

  test.skipIf(noRedis !== null)('serves no clients while its node’s id is another broker’s, and says so', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const config = { addr: redis.path, nodeId: 'n', heartbeatIntervalMs: 200, nodeTtlMs: 5_000 }
    const { run, address, text, said } = await started('fenced.json', {
      mqtt: { listen: [{ port: 0 }], plugins: [{ hook: 'cluster', config, timeoutMs: 3_000 }] },
      metrics: { listen: { port: 0 } },
    })
    const page = pagesIn(text)
    const generation = async () => Number((await redis.client.get('mqtt:node:n'))?.split('/').at(-1))
    const before = await generation()
    const clients = [await connectAsync({ ...address, clientId: 'clean' })]
    clients.push(await connectAsync({ ...address, clientId: 'kept', clean: false }))
    await clients[1]?.subscribeAsync('t', { qos: 1 })
    const closed = clients.map((client) => new Promise<void>((resolve) => client.once('close', () => resolve())))
    for (const client of clients) client.on('error', () => {})
    expect(await page('healthz')).toMatchObject({ status: 200 })

    // As long as the other one lives.
    await redis.client.set('mqtt:node:n', 'elsewhere/1/lane/99', 'PX', 60_000)
    await Promise.all(closed)
    expect(await page('healthz')).toEqual({ status: 503, text: expect.stringContaining('mqtt: it serves no clients') })
    expect((await page('readyz')).status).toBe(503)
    await expect(connectAsync(address)).rejects.toMatchObject({ code: 3 })
    await until('a line', () => said().includes('another broker is node'))

    await redis.client.del('mqtt:node:n')
    await until('the node to come back', async () => (await page('healthz')).status === 200)
    expect(await generation()).toBeGreaterThan(before)
    const [again, publisher] = [
      await connectAsync({ ...address, clientId: 'kept', clean: false }),
      await connectAsync(address),
    ]
    const message = new Promise((resolve) => again.once('message', (_, payload) => resolve(String(payload))))
    await publisher.publishAsync('t', 'after', { qos: 1 })
    expect(await message).toBe('after')
    for (const client of [again, publisher]) client.end(true)
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 0 })
  })

  test('gives new connections the certificate that lies there at SIGHUP', async () => {
    const put = async (name: 'server' | 'broker') => {
      await write('cert.pem', await readFile(fixture(`exhook/tls/${name}.pem`), 'utf8'))
      await write('key.pem', await readFile(fixture(`exhook/tls/${name}.key`), 'utf8'))
    }
    await put('server')
    const tls = { cert: 'cert.pem', key: 'key.pem' }
    const { run, text, said } = await started('tls.json', { mqtt: { listen: [{ port: 0, tls }] } })
    const port = Number(/tls:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1])
    expect(await subjectAt(port)).toBe('localhost')
    await put('broker')
    run.child.kill('SIGHUP')
    await until('the change', () => said().includes('loaded anew'))
    expect(await subjectAt(port)).toBe('broker')
    await write('cert.pem', 'none')
    run.child.kill('SIGHUP')
    await until('the refusal', () => said().includes('the certificates stay as they were'))
    expect(await subjectAt(port)).toBe('broker')
  })

  test('takes over the socket that a killed one has left behind, and no other', async () => {
    const config = { mqtt: { listen: [{ path: './left.sock' }] } }
    const first = await started('left.json', config)
    const { code, stderr } = await runCommand(['serve', first.file])
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/LISTEN_FAILED: .*left\.sock/) })
    first.run.child.kill('SIGKILL')
    await first.run.ended
    expect(existsSync(join(folder, 'left.sock'))).toBe(true)
    await started('left.json', config)
  })

  test('goes on when nobody reads its lines any more, and ends in order', async () => {
    const { run, address } = await started('pipe.json', {
      mqtt: { listen: [{ port: 0 }], plugins: [{ hook: 'logger' }] },
    })
    run.child.stdout?.destroy()
    for (let round = 0; round < 3; round += 1) {
      const client = await connectAsync(address)
      await client.publishAsync('t', 'x', { qos: 1 })
      await client.endAsync()
    }
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 0, stderr: '' })
  })

  test.skipIf(noRedis !== null)('says on its pages what it counts, and what is missing', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const { run, address, text } = await started('pages.json', {
      mqtt: { listen: [{ port: 0 }], plugins: [{ hook: 'acl' }, { hook: 'redis', config: { addr: redis.path } }] },
      metrics: { listen: { port: 0 } },
    })
    const page = pagesIn(text)
    const client = await connectAsync(address)
    await client.subscribeAsync('t', { qos: 0 })
    for (const qos of [0, 1, 2] as const) await client.publishAsync('t', 'x', { qos })
    const { text: metrics } = await page('metrics')
    expect(metrics).toMatch(/^hookring_mqtt_clients_connected 1$/m)
    expect(metrics).toMatch(/^hookring_mqtt_messages_total\{direction="received"\} 3$/m)
    expect(metrics).toMatch(/^hookring_mqtt_subscriptions 1$/m)
    for (const kind of ['refused', 'undecided', 'dropped']) {
      expect(metrics).toMatch(new RegExp(`^hookring_mqtt_${kind}_total\\{what="publish"\\} 0$`, 'm'))
    }
    expect(await page('readyz')).toEqual({ status: 200, text: 'ready\n' })
    await redis.kill()
    await until('Redis to be missed', async () => (await page('readyz')).status === 503)
    expect((await page('readyz')).text).toContain('mqtt: the store of retained messages')
    expect(await page('healthz')).toEqual({ status: 200, text: 'serving\n' })
    await redis.restart()
    await until('Redis to be back', async () => (await page('readyz')).status === 200)
    await client.endAsync()
    run.child.kill('SIGTERM')
    expect(await run.ended).toMatchObject({ code: 0 })
  })

  test('says its lines in JSON, with time and level', async () => {
    const { text } = await started('lines.json', { mqtt: { listen: [{ port: 0 }] } })
    for (const line of text.trim().split('\n')) {
      const { time, level, msg } = JSON.parse(line)
      expect([new Date(time).toISOString(), level, typeof msg]).toEqual([time, 'info', 'string'])
    }
  })
})

/** Asks for a page of the server whose lines these are. */
function pagesIn(text: string) {
  const base = /http:[^"\s]+(?=\/metrics)/.exec(text)?.[0] as string
  return async (path: string) => {
    const response = await fetch(`${base}/${path}`)
    return { status: response.status, text: await response.text() }
  }
}

/** Who the certificate says that a TLS server is. */
function subjectAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

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

  test('with --check, what starting would refuse, and no more is started', async () => {
    const cases: [content: object, message: RegExp][] = [
      [{ mqtt: { plugins: [{ hook: 'acl', config: { rulez: [] } }] } }, /PLUGIN_CONFIG_INVALID: .*acl.*rulez/],
      [{ mqtt: { plugins: [{ hook: 'rate-limit', config: {} }] } }, /PLUGIN_CONFIG_INVALID: .*publishRate/],
      [{ mqtt: { plugins: [{ hook: 'acl', timeoutMz: 1 }] } }, /CONFIG_INVALID: .*mqtt\.plugins\[0\].*timeoutMz/],
      [{ mqtt: { plugins: [{ from: './none.mjs' }] } }, /PLUGIN_NOT_FOUND: /],
      [{ mqtt: { broker: { queuelimit: 1 } } }, /CONFIG_INVALID: .*mqtt\.broker.*queuelimit/],
      [{ mqtt: { attach: { holdMs: -1 } } }, /CONFIG_INVALID: .*mqtt\.attach\.holdMs/],
      [{ mqtt: { engine: { timeoutMs: 'long' } } }, /OPTIONS_INVALID: .*timeoutMs/],
      [{ mqtt: { listen: [{ port: 0, tls: { cert: 'none.pem', key: 'none.pem' } }] } }, /CONFIG_INVALID: tls: /],
      [{ connection: { listen: [{ path: 'x.sock' }], server: { users: 1 } } }, /OPTIONS_INVALID: .*users/],
    ]
    for (const [content, message] of cases) {
      written += 1
      const { code, stderr, stdout } = await runCommand([
        'serve',
        await write(`check-${written}.json`, content),
        '--check',
      ])
      expect({ code, stderr, stdout }).toEqual({ code: 2, stderr: expect.stringMatching(message), stdout: '' })
    }
  })

  test('with --check nothing is started', async () => {
    const { code, stdout } = await runCommand(['serve', await write('good.json', { mqtt: {} }), '--check'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('will do') })
  })
})
