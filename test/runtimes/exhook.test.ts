/** A remote provider as a plugin: every hook of the ExHook service in every version, and what its answers come to. */
import { readFileSync } from 'node:fs'
import { createHookEngine, type HookEngine, type PluginOptions } from 'hookring'
import { type Contract, exhook1, exhook2, exhook3, type Hookpoints } from 'hookring/contracts'
import { startExhookProvider } from 'hookring/exhook'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import * as wire from '../support/exhook-broker.js'
import { connectBroker } from '../support/exhook-broker.js'
import { exhookEvents, message, meta, requestOf } from '../support/exhook-events.js'
import {
  type Answer,
  type Message,
  startProvider,
  type TestProvider,
  type Version,
} from '../support/exhook-provider.js'
import { silent } from '../support/lab.js'

type AnyEngine = HookEngine<Hookpoints>
type Ask = (event: unknown) => Promise<{ kind: string; event?: Message; reason?: string; failure?: { kind: string } }>

const CONTRACTS = { 1: exhook1, 2: exhook2, 3: exhook3 } as const
const VALUED = ['onClientAuthenticate', 'onClientAuthorize', 'onClientCheckAcl', 'onMessagePublish']

/** `onClientCheckAcl` is client.check_acl. */
const hookOf = (hookpoint: string) => {
  const [, family = '', name = ''] = /^on(Client|Session|Message)(\w+)$/.exec(hookpoint) ?? []
  const words = name.replace(/(?<=[a-z])(?=[A-Z])/g, '_')
  return `${family}.${words}`.toLowerCase()
}
const rpcOf = (hookpoint: string) => `O${hookpoint.slice(1)}`
const asked = (engine: AnyEngine, hookpoint: string) => engine.hooks[hookpoint] as unknown as Ask

async function open(contract: unknown, plugins: PluginOptions[]): Promise<AnyEngine> {
  const options = { contract: contract as Contract, plugins, logger: silent, quarantine: false, spares: 0 } as const
  return createHookEngine({ ...options, timeoutMs: 5_000 })
}

describe.each([1, 2, 3] as const)('an engine of exhook@%i', (version) => {
  const events = exhookEvents(version)
  let answer: Answer = { type: 'IGNORE' }
  let provider: TestProvider
  let engine: AnyEngine

  beforeAll(async () => {
    const names = Object.keys(events)
    provider = await startProvider(version, {
      hooks: names.map((name) => ({ name: hookOf(name) })),
      answers: Object.fromEntries(
        names.filter((name) => VALUED.includes(name)).map((name) => [rpcOf(name), () => answer]),
      ),
      keep: true,
    })
    engine = await open(CONTRACTS[version], [{ from: provider.url, runtime: 'exhook', version, name: 'remote' }])
  })
  afterAll(async () => {
    await engine.close()
    provider.end()
  })

  const ask = (hookpoint: string, answered: Answer) => {
    answer = answered
    return asked(engine, hookpoint)(events[hookpoint])
  }

  const title = (rpc: string) => TITLES.find((each) => each.startsWith(`${rpc} of emqx.exhook.v${version} `)) as string
  const TITLES = titlesOf(version)

  it(title('OnProviderLoaded'), () => {
    const [request, ...others] = provider.requests('OnProviderLoaded')
    expect(others).toEqual([])
    expect(request).toMatchObject({ broker: { sysdescr: 'hookring' }, meta: { sysdescr: 'hookring' } })
    const { uptime } = (request as { broker: { uptime: string } }).broker
    expect(uptime).toMatch(version === 1 ? /^\d+ seconds$/ : /^[1-9]\d*$/)
  })

  it('the plugin hooks what the provider asked for', () => {
    expect([...(engine.plugins[0]?.hooks ?? [])].sort()).toEqual(Object.keys(events).sort())
  })

  for (const name of Object.keys(events)) {
    it(title(rpcOf(name)), async () => {
      if (VALUED.includes(name)) expect(await ask(name, { type: 'IGNORE' })).toEqual({ kind: 'continue' })
      else void asked(engine, name)(events[name])
      const [request] = await provider.heard(rpcOf(name))
      expect(request).toEqual(requestOf(events[name] as Message))
    })
  }

  const authorize = version === 1 ? 'onClientCheckAcl' : 'onClientAuthorize'

  it.each(['onClientAuthenticate', authorize])('%s: CONTINUE passes another value on', async (name) => {
    const before = (events[name] as { result: boolean }).result
    const verdict = await ask(name, { type: 'CONTINUE', boolResult: !before })
    expect(verdict).toMatchObject({ kind: 'replace', event: { result: !before, isFinal: false } })
    expect(await ask(name, { type: 'CONTINUE', boolResult: before })).toEqual({ kind: 'continue' })
  })

  it.each(['onClientAuthenticate', authorize])('%s: STOP_AND_RETURN is the last word', async (name) => {
    const yes = await ask(name, { type: 'STOP_AND_RETURN', boolResult: true })
    expect(yes).toMatchObject({ kind: 'replace', event: { result: true, isFinal: true } })
    const no = await ask(name, { type: 'STOP_AND_RETURN', boolResult: false })
    expect(no).toMatchObject({ kind: 'reject', plugin: 'remote', reason: expect.stringContaining('says no') })
  })

  it('onMessagePublish: of a message qos, topic and payload are taken back', async () => {
    const other = {
      qos: 2,
      topic: 'other',
      payload: Buffer.from('new'),
      from: 'somebody',
      id: 'x',
      headers: { a: 'b' },
    }
    const verdict = await ask('onMessagePublish', { type: 'CONTINUE', message: other })
    const kept = { ...message(), qos: 2, topic: 'other' }
    expect(verdict).toMatchObject({ kind: 'replace', event: { isFinal: false, meta } })
    const taken = verdict.event?.message as { payload: Uint8Array }
    expect({ ...taken, payload: Buffer.from(taken.payload).toString() }).toEqual({ ...kept, payload: 'new' })
  })

  it('onMessagePublish: STOP_AND_RETURN is the last word, even when it changes nothing', async () => {
    const same = requestOf({ message: message() }).message as Message
    const verdict = await ask('onMessagePublish', { type: 'STOP_AND_RETURN', message: same })
    expect(verdict).toMatchObject({ kind: 'replace', event: { isFinal: true } })
    expect(await ask('onMessagePublish', { type: 'CONTINUE', message: same })).toEqual({ kind: 'continue' })
  })

  it('onMessagePublish: the header allow_publish blocks a message', async () => {
    const blocked = { topic: 'sensors/1', headers: { allow_publish: 'false' } }
    const verdict = await ask('onMessagePublish', { type: 'CONTINUE', message: blocked })
    expect(verdict).toMatchObject({ kind: 'reject', reason: expect.stringContaining('does not allow') })
  })

  it.each<[string, string, Answer]>([
    ['a message for a bool', 'onClientAuthenticate', { type: 'CONTINUE', message: { topic: 'a' } }],
    ['a last word without a bool', 'onClientAuthenticate', { type: 'STOP_AND_RETURN' }],
    ['no bool', 'onClientAuthenticate', { type: 'CONTINUE' }],
    ['a bool for a message', 'onMessagePublish', { type: 'CONTINUE', boolResult: true }],
    ['a no for a message', 'onMessagePublish', { type: 'STOP_AND_RETURN', boolResult: false }],
    ['no message', 'onMessagePublish', { type: 'STOP_AND_RETURN' }],
  ])('%s is taken for IGNORE, as EMQX takes it', async (_, hookpoint, other) => {
    expect(await ask(hookpoint, other)).toEqual({ kind: 'continue' })
  })

  it.each<[string, string, Answer]>([
    ['a type that there is none of', 'onClientAuthenticate', Buffer.from([0x08, 7, 0x18, 1])],
    ['bytes that are no message', 'onClientAuthenticate', Buffer.from([0x0a, 0xff, 0xff])],
    ['a message with QoS 3', 'onMessagePublish', { type: 'CONTINUE', message: { topic: 'a', qos: 3 } }],
    ['a message without a topic', 'onMessagePublish', { type: 'CONTINUE', message: { qos: 0 } }],
    ['a message for a topic filter', 'onMessagePublish', { type: 'CONTINUE', message: { topic: 'a/#' } }],
  ])('%s is no verdict, and denied as invalid', async (_, hookpoint, nonsense) => {
    expect(await ask(hookpoint, nonsense)).toMatchObject({
      kind: 'reject',
      failure: { kind: 'invalid', plugin: 'remote' },
    })
  })
})

/** The first test of each RPC; docs/exhook.md lists them. */
function titlesOf(version: Version): string[] {
  return [
    `OnProviderLoaded of emqx.exhook.v${version} says which hooks are mounted`,
    ...Object.keys(exhookEvents(version)).map((name) => {
      const what = VALUED.includes(name) ? 'asks the provider' : 'tells the provider'
      return `${rpcOf(name)} of emqx.exhook.v${version} ${what} all of it`
    }),
    `OnProviderUnloaded of emqx.exhook.v${version} is the end`,
  ]
}

it('docs/exhook.md lists these tests, each RPC of each version once', () => {
  const page = readFileSync(new URL('../../docs/exhook.md', import.meta.url), 'utf8')
  const listed = page
    .split('\n')
    .flatMap((row) => /\| (\S+ of emqx\.exhook\.v\d (?:says|asks|tells|is the end).*) \|$/.exec(row)?.[1] ?? [])
  expect(listed.sort()).toEqual(([1, 2, 3] as const).flatMap(titlesOf).sort())
})

describe.each([1, 2, 3] as const)('a provider of version %i', (version) => {
  it(`OnProviderUnloaded of emqx.exhook.v${version} is the end`, async () => {
    const provider = await startProvider(version, { hooks: [{ name: 'client.connected' }] })
    const engine = await open(CONTRACTS[version], [
      { from: provider.url, runtime: 'exhook', config: { node: 'ring@one' } },
    ])
    await engine.close()
    expect(provider.requests('OnProviderUnloaded')).toMatchObject([{ meta: { node: 'ring@one' } }])
    expect(provider.calls.at(-1)?.rpc).toBe('OnProviderUnloaded')
  })
})

describe('a provider of another version than the contract', () => {
  it.each<[number, Version]>([
    [3, 1],
    [3, 2],
    [1, 3],
    [2, 1],
  ])('an engine of exhook@%i asks a provider of version %i by its own names', async (of, version) => {
    const authorize = version === 1 ? 'client.check_acl' : 'client.authorize'
    const provider = await startProvider(version, {
      hooks: [{ name: authorize }, { name: 'client.subscribe' }],
      answers: {
        OnClientCheckAcl: () => ({ type: 'STOP_AND_RETURN', boolResult: true }),
        OnClientAuthorize: () => ({ type: 'STOP_AND_RETURN', boolResult: true }),
      },
    })
    const engine = await open(CONTRACTS[of as Version], [{ from: provider.url, runtime: 'exhook', version }])
    onTestFinished(() => engine.close())
    const events = exhookEvents(of as Version)
    const hookpoint = of === 1 ? 'onClientCheckAcl' : 'onClientAuthorize'
    expect(await asked(engine, hookpoint)(events[hookpoint])).toMatchObject({
      kind: 'replace',
      event: { result: true },
    })
    expect(provider.requests(version === 1 ? 'OnClientCheckAcl' : 'OnClientAuthorize')[0]).toMatchObject({
      type: 'SUBSCRIBE',
      topic: 'a/+',
    })
    void asked(engine, 'onClientSubscribe')(events.onClientSubscribe)
    const [request] = await provider.heard('OnClientSubscribe')
    const [filter] = (request as { topicFilters: Message[] }).topicFilters
    expect(filter).toMatchObject({ name: 'a/+', ...(version === 1 ? { qos: 1 } : { subopts: { qos: 1 } }) })
  })

  it('without a version it is the contract’s', async () => {
    const provider = await startProvider(1, { hooks: [{ name: 'session.takeovered' }] })
    const engine = await open(exhook1, [{ from: provider.url, runtime: 'exhook' }])
    onTestFinished(() => engine.close())
    expect(engine.plugins[0]?.hooks).toEqual(['onSessionTakeovered'])
  })
})

describe('a chain of providers', () => {
  const chain = async (first: Answer, second: Answer) => {
    const providers = await Promise.all(
      [first, second].map((each) =>
        startProvider(3, { hooks: [{ name: 'client.authenticate' }], answers: { OnClientAuthenticate: () => each } }),
      ),
    )
    const engine = await open(
      exhook3,
      providers.map(({ url }, at) => ({ from: url, runtime: 'exhook' as const, name: `p${at}`, priority: -at })),
    )
    onTestFinished(() => engine.close())
    const verdict = await asked(engine, 'onClientAuthenticate')(exhookEvents(3).onClientAuthenticate)
    return { verdict, requests: providers[1]?.requests('OnClientAuthenticate') }
  }

  it('CONTINUE: the next one is asked with the new value, and may give another', async () => {
    const { verdict, requests } = await chain(
      { type: 'CONTINUE', boolResult: false },
      { type: 'CONTINUE', boolResult: true },
    )
    expect(requests).toMatchObject([{ result: false }])
    expect(verdict).toMatchObject({ kind: 'replace', event: { result: true } })
  })

  it('IGNORE: the next one is asked with what was there', async () => {
    const { verdict, requests } = await chain({ type: 'IGNORE', boolResult: false }, { type: 'IGNORE' })
    expect(requests).toMatchObject([{ result: true }])
    expect(verdict).toEqual({ kind: 'continue' })
  })

  it.each([true, false])('STOP_AND_RETURN with %s: the next one is not asked', async (boolResult) => {
    const { verdict, requests } = await chain(
      { type: 'STOP_AND_RETURN', boolResult },
      { type: 'STOP_AND_RETURN', boolResult: !boolResult },
    )
    expect(requests).toEqual([])
    expect(verdict.kind).toBe(boolResult ? 'replace' : 'reject')
  })
})

it('a broker of version 1 reaches a provider of version 2 through hookring', async () => {
  const remote = await startProvider(2, {
    hooks: [{ name: 'client.authorize' }, { name: 'message.publish', topics: ['up/#'] }],
    answers: {
      OnClientAuthorize: ({ topic }) => ({ type: 'STOP_AND_RETURN', boolResult: topic === 'up/1' }),
      OnMessagePublish: () => ({ type: 'CONTINUE', message: { topic: 'changed', qos: 0 } }),
    },
  })
  const engine = await open(exhook3, [{ from: remote.url, runtime: 'exhook', version: 2 }])
  const provider = await startExhookProvider(engine as never, { address: '127.0.0.1:0' })
  const broker = connectBroker(1, provider.address)
  onTestFinished(async () => {
    broker.close()
    await provider[Symbol.asyncDispose]()
    await engine.close()
  })
  expect(await broker.call('OnProviderLoaded', { broker: {}, meta: wire.META })).toMatchObject({
    hooks: [{ name: 'client.check_acl' }, { name: 'message.publish' }],
  })
  const question = { clientinfo: wire.clientInfo(1), type: 'PUBLISH', result: false }
  expect(await broker.call('OnClientCheckAcl', { ...question, topic: 'up/1' })).toMatchObject({
    type: 'STOP_AND_RETURN',
    bool_result: true,
  })
  expect(await broker.call('OnClientCheckAcl', { ...question, topic: 'down' })).toMatchObject({ bool_result: false })
  const answered = await broker.call('OnMessagePublish', { message: wire.message() })
  expect(answered).toMatchObject({ type: 'CONTINUE', message: { topic: 'changed', qos: 0, from: 'c1' } })
  const ignored = await broker.call('OnMessagePublish', { message: wire.message({ topic: 'down' }) })
  expect(ignored).toMatchObject({ type: 'IGNORE' })
})
