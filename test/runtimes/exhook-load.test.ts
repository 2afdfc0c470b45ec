/** A remote provider as a plugin: what an operator may say of it, and every way in which loading it fails. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ServerCredentials } from '@grpc/grpc-js'
import { createHookEngine, type PluginOptions } from 'hookring'
import { exhook3 } from 'hookring/contracts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { authenticate, openExhook } from '../support/exhook-lab.js'
import { freePort, startProvider } from '../support/exhook-provider.js'
import { fixture, openLab, refusalOf, silent } from '../support/lab.js'
import { recordingLogger } from '../support/recording-logger.js'

/** What keeps a connection from coming about is tried again for so long. */
const BRIEF = { setupTimeoutMs: 5_000 }
const AUTHENTICATE = { hooks: [{ name: 'client.authenticate' }] }

describe('an operator', () => {
  it.each<[string, Partial<PluginOptions>, string]>([
    ['a file for a provider', { from: './provider.mjs' }, 'from'],
    ['a URL with a path', { from: 'http://127.0.0.1:9000/exhook' }, 'from'],
    ['a URL with a password', { from: 'http://a:b@127.0.0.1:9000' }, 'from'],
    ['a protocol that is none', { from: 'tcp://127.0.0.1:9000' }, 'from'],
    ['a socket without a path', { from: 'unix:///' }, 'from'],
    ['a version that there is none of', { version: 4 as 3 }, 'version'],
    ['a process around a provider', { boundary: 'process' }, 'boundary'],
    ['a sandbox for a provider', { sandbox: 'required' }, 'sandbox'],
    ['the hash of a provider', { integrity: `sha256-${'a'.repeat(43)}=` }, 'integrity'],
    ['host services for a provider', { services: ['publish'] }, 'services'],
    ['lanes that would change the order of events', { workers: 2 }, 'workers'],
    ['a version for a module', { from: './a.mjs', runtime: 'module', version: 2 }, 'version'],
  ])('cannot ask for %s', async (_, options, path) => {
    const plugin = { from: 'http://127.0.0.1:9', runtime: 'exhook', ...options } as PluginOptions
    const refusal = await refusalOf(createHookEngine({ contract: exhook3, plugins: [plugin], logger: silent }))
    expect(refusal).toMatchObject({ code: 'OPTIONS_INVALID', path: expect.arrayContaining([path]) })
  })

  it('is told what is wrong with the config', async () => {
    const cases: [config: object, says: string][] = [
      [{ colour: 'blue' }, 'config: Unrecognized key'],
      [{ tls: { certFile: 'a.pem' } }, 'config.tls: certFile and keyFile go together'],
      [{ tls: { caFile: '/nonexistent/ca.pem' } }, 'config.tls.caFile: Error: ENOENT'],
    ]
    const plugins = cases.map(([config]) => ({ from: 'https://127.0.0.1:9', config }))
    plugins.push({ from: 'http://127.0.0.1:9', config: { tls: {} } })
    const refusals = await Promise.all(plugins.map((plugin) => refusalOf(openExhook(plugin))))
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: 'PLUGIN_CONFIG_INVALID', plugin: 'remote' })
    const says = [...cases.map(([, text]) => text), 'config.tls is for providers that are reached by https']
    says.forEach((text, at) => {
      expect(refusals[at]?.message).toContain(text)
    })
  })

  it('may distrust a provider, whose code runs elsewhere', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: provider.url, trust: 'untrusted' })
    expect(await authenticate(lab)).toEqual({ kind: 'continue' })
  })

  it('names the broker that the provider is told of', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    await openExhook({ from: provider.url, config: { node: 'ring@one', cluster: 'rings' } })
    expect(provider.requests('OnProviderLoaded')).toMatchObject([{ meta: { node: 'ring@one', clusterName: 'rings' } }])
  })

  it('may have a provider behind a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'exhook-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const provider = await startProvider(3, { ...AUTHENTICATE, socket: join(folder, 'provider.sock') })
    const lab = await openExhook({ from: provider.url })
    await authenticate(lab)
    expect(provider.requests('OnClientAuthenticate')).toHaveLength(1)
  })

  it('without a name of his own finds the provider under its address', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: provider.url, name: undefined as never })
    expect(lab.engine.plugins[0]?.name).toBe(`127.0.0.1-${provider.port}`)
  })
})

it('a provider whose runtime nobody named is not taken for a file, and what it takes is said', async () => {
  const refusal = await refusalOf(openExhook({ from: 'http://127.0.0.1:9', runtime: undefined as never }))
  expect(refusal).toMatchObject({ code: 'PLUGIN_NOT_FOUND', message: expect.stringContaining("runtime: 'exhook'") })
})

describe('a provider that cannot be loaded', () => {
  it.each<[string, string, RegExp]>([
    ['asks for a hook that there is none of', 'client.dance', /"client\.dance".*version 3.*client\.connect/],
    ['asks for a hook by the name of another version', 'client.check_acl', /"client\.check_acl"/],
  ])('%s', async (_, name, says) => {
    const provider = await startProvider(3, { hooks: [{ name: 'client.connect' }, { name }] })
    const refusal = await refusalOf(openExhook({ from: provider.url }))
    expect(refusal).toMatchObject({ code: 'PROVIDER_HOOK_UNKNOWN', plugin: 'remote' })
    expect(refusal.message).toMatch(says)
    expect(provider.requests('OnProviderLoaded')).toHaveLength(1)
  })

  it('answers what is no message', async () => {
    const provider = await startProvider(3, {
      hooks: [],
      answers: { OnProviderLoaded: () => Buffer.from([0x0a, 0xff]) },
    })
    expect(await refusalOf(openExhook({ from: provider.url }))).toMatchObject({ code: 'PROVIDER_INVALID' })
  })

  it('asks for messages of what is no topic filter', async () => {
    const provider = await startProvider(3, { hooks: [{ name: 'message.publish', topics: ['a/#/b'] }] })
    const refusal = await refusalOf(openExhook({ from: provider.url }))
    expect(refusal).toMatchObject({ code: 'PROVIDER_INVALID', message: expect.stringContaining('"a/#/b"') })
  })

  it('speaks another version', async () => {
    const provider = await startProvider(2, AUTHENTICATE)
    const refusal = await refusalOf(openExhook({ from: provider.url, version: 3 }))
    expect(refusal).toMatchObject({
      code: 'PROVIDER_INVALID',
      message: expect.stringContaining('another version than 3'),
    })
  })

  it('does not exist, or never answers', async () => {
    const silentOne = await startProvider(3, { hooks: [], answers: { OnProviderLoaded: () => 'never' } })
    const [missing, unanswered] = await Promise.all(
      [`http://127.0.0.1:${await freePort()}`, silentOne.url].map((from) => refusalOf(openExhook({ from }, BRIEF))),
    )
    expect(missing).toMatchObject({ code: 'PROVIDER_UNREACHABLE', plugin: 'remote' })
    expect(missing?.message).toMatch(/within 4000 ms, asked \d+ times: OnProviderLoaded: UNAVAILABLE/)
    expect(unanswered).toMatchObject({ code: 'PROVIDER_UNREACHABLE', message: expect.stringContaining('in time') })
  })

  it('is the plugin of an engine that it cannot serve', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const refusal = await refusalOf(openLab({ plugins: [{ from: provider.url, runtime: 'exhook' }] }))
    expect(refusal).toMatchObject({ code: 'PLUGIN_CONTRACT_MISMATCH', message: expect.stringContaining('lab@1') })
    expect(provider.calls).toEqual([])
  })
})

describe('a provider that can be loaded', () => {
  it('is waited for', async () => {
    const port = await freePort()
    const logger = recordingLogger()
    const opening = createHookEngine({
      contract: exhook3,
      plugins: [{ from: `http://127.0.0.1:${port}`, runtime: 'exhook', name: 'remote' }],
      logger: {
        ...logger,
        info(fields, text) {
          logger.info(fields, text)
          if (text.includes('does not answer yet'))
            void startProvider(3, { ...AUTHENTICATE, port, keep: true }).then(started)
        },
      },
      spares: 0,
    })
    let started = (_: Awaited<ReturnType<typeof startProvider>>) => {}
    const provider = await new Promise<Awaited<ReturnType<typeof startProvider>>>((resolve) => {
      started = resolve
    })
    onTestFinished(() => provider.end())
    const engine = await opening
    onTestFinished(() => engine.close())
    expect(engine.plugins[0]?.hooks).toEqual(['onClientAuthenticate'])
    expect(provider.requests('OnProviderLoaded')).toHaveLength(1)
  })

  it('may refuse the first time', async () => {
    let asked = 0
    const provider = await startProvider(3, {
      hooks: [],
      answers: {
        OnProviderLoaded: () => {
          asked += 1
          return asked === 1 ? { code: 14, details: 'starting' } : { hooks: [{ name: 'client.connected', topics: [] }] }
        },
      },
    })
    const lab = await openExhook({ from: provider.url })
    expect(lab.engine.plugins[0]?.hooks).toEqual(['onClientConnected'])
  })

  it('may ask for a hook twice', async () => {
    const provider = await startProvider(3, { hooks: [...AUTHENTICATE.hooks, ...AUTHENTICATE.hooks] })
    const lab = await openExhook({ from: provider.url })
    await authenticate(lab)
    expect(provider.requests('OnClientAuthenticate')).toHaveLength(1)
  })

  it('may ask for nothing, which is said', async () => {
    const provider = await startProvider(3, { hooks: [] })
    const lab = await openExhook({ from: provider.url })
    expect(lab.engine.plugins[0]?.hooks).toEqual([])
    expect(await lab.line(({ message }) => message.includes('asks for no hook'))).toMatchObject({ level: 'warn' })
  })

  it('is told that it is unloaded when its plugin is removed, and not again', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: provider.url, config: { node: 'ring@one' } })
    await lab.engine.remove('remote')
    expect(await provider.heard('OnProviderUnloaded')).toMatchObject([{ meta: { node: 'ring@one' } }])
    await lab.engine.close()
    expect(provider.requests('OnProviderUnloaded')).toHaveLength(1)
  })
})

describe('a provider that is reached by TLS', () => {
  const file = (name: string) => fileURLToPath(fixture(`exhook/tls/${name}`))
  const pem = (name: string) => readFileSync(file(name))
  const secured = (isMutual: boolean) => ({
    ...AUTHENTICATE,
    credentials: ServerCredentials.createSsl(
      pem('ca.pem'),
      [{ cert_chain: pem('server.pem'), private_key: pem('server.key') }],
      isMutual,
    ),
  })
  const caFile = file('ca.pem')
  const own = { certFile: file('broker.pem'), keyFile: file('broker.key') }
  const others = { certFile: file('other.pem'), keyFile: file('other.key') }

  it('is known by who signed its certificate', async () => {
    const provider = await startProvider(3, secured(false))
    const lab = await openExhook({ from: provider.url, config: { tls: { caFile } } })
    expect(await authenticate(lab)).toEqual({ kind: 'continue' })
  })

  it('may ask for a certificate of the plugin’s', async () => {
    const provider = await startProvider(3, secured(true))
    const lab = await openExhook({ from: provider.url, config: { tls: { caFile, ...own } } })
    expect(await authenticate(lab)).toEqual({ kind: 'continue' })
  })

  it('is not believed when nobody known has signed its certificate, and does not believe such a plugin', async () => {
    const [open, closed] = [await startProvider(3, secured(false)), await startProvider(3, secured(true))]
    const cases = [
      { from: open.url },
      { from: closed.url, config: { tls: { caFile } } },
      { from: closed.url, config: { tls: { caFile, ...others } } },
    ]
    const refusals = await Promise.all(cases.map((plugin) => refusalOf(openExhook(plugin, BRIEF))))
    expect(refusals.map(({ code }) => code)).toEqual(cases.map(() => 'PROVIDER_UNREACHABLE'))
    expect(refusals[0]?.message).toMatch(/certificate/)
    expect([...open.calls, ...closed.calls]).toEqual([])
  })
})
