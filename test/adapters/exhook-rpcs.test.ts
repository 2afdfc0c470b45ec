/**
 * Each RPC of the ExHook service, in each version: what a broker sends reaches a plugin of exhook@3 whole, and the broker
 * gets the answer that the protocol wants. docs/exhook.md lists these tests.
 */
import { readFile } from 'node:fs/promises'
import { createHookEngine, type HookEngine } from 'hookring'
import { EXHOOK_RPCS, EXHOOK_VERSIONS, type ExhookRpc, type ExhookVersion, exhook3 } from 'hookring/contracts'
import { type ExhookProvider, startExhookProvider } from 'hookring/exhook'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Broker,
  clientInfo,
  connectBroker,
  connInfo,
  META,
  message,
  PROPS,
  USER_PROPS,
  type Wire,
} from '../support/exhook-broker.js'
import { fixture } from '../support/lab.js'
import { recordingLogger } from '../support/recording-logger.js'

const logger = recordingLogger()
let engine: HookEngine<typeof exhook3.hookpoints>
let provider: ExhookProvider
let brokers: Record<ExhookVersion, Broker>

beforeAll(async () => {
  engine = await createHookEngine({
    contract: exhook3,
    plugins: [{ from: fixture('exhook/actor.mjs'), timeoutMs: 5000 }],
    spares: 0,
    logger,
  })
  provider = await startExhookProvider(engine, { address: '127.0.0.1:0', logger })
  brokers = Object.fromEntries(
    EXHOOK_VERSIONS.map((version) => [version, connectBroker(version, provider.address)]),
  ) as Record<ExhookVersion, Broker>
})

afterAll(async () => {
  for (const broker of Object.values(brokers)) broker.close()
  await provider.close()
  await engine.close()
})

const isOld = (version: ExhookVersion) => version === 1
const ports = (version: ExhookVersion) => ({ peerport: isOld(version) ? 0 : 50_123 })

const meta = { node: 'n1@host', version: '5.9.0', sysdescr: 'a broker', clusterName: 'c' }
const clientinfo = (version: ExhookVersion) => ({
  ...{ node: 'n1@host', clientid: 'c1', username: 'ada', password: '', peerhost: '10.0.0.9', sockport: 1883 },
  ...{ protocol: 'mqtt', mountpoint: '', isSuperuser: true, anonymous: false, cn: 'ada', dn: 'CN=ada' },
  ...ports(version),
})
const conninfo = (version: ExhookVersion) => ({
  ...{ node: 'n1@host', clientid: 'c1', username: 'ada', peerhost: '10.0.0.9', sockport: 1883 },
  ...{ protoName: 'MQTT', protoVer: '5', keepalive: 60 },
  ...ports(version),
})
const messageSeen = {
  ...{ node: 'n1@host', id: '0001', qos: 1, from: 'c1', topic: 'up/1', payload: 'bytes 00ff0a' },
  ...{ timestamp: '9007199254740993n', headers: { username: 'ada' } },
}
const userProps = (version: ExhookVersion) => (version === 3 ? USER_PROPS : [])
const sentUserProps = (version: ExhookVersion): Wire => (version === 3 ? { user_props: USER_PROPS } : {})

interface Sent {
  readonly request: (version: ExhookVersion) => Wire
  /** What a plugin of exhook@3 is told, as the actor logs it. */
  readonly event: (version: ExhookVersion) => Wire
}

const aboutClient: Sent = {
  request: (version) => ({ clientinfo: clientInfo(version), meta: META }),
  event: (version) => ({ clientinfo: clientinfo(version), meta }),
}
const aboutEnd: Sent = {
  request: (version) => ({ clientinfo: clientInfo(version), reason: 'normal', meta: META }),
  event: (version) => ({ clientinfo: clientinfo(version), reason: 'normal', meta }),
}
const aboutFilters: Sent = {
  request: (version) => ({
    clientinfo: clientInfo(version),
    props: PROPS,
    topic_filters: [
      version === 3 ? { name: 'a/#', subopts: { qos: 1, rh: 2, rap: 1, nl: 1 } } : { name: 'a/#', qos: 1 },
    ],
    meta: META,
    ...sentUserProps(version),
  }),
  event: (version) => ({
    clientinfo: clientinfo(version),
    props: PROPS,
    topicFilters: [
      {
        name: 'a/#',
        subopts: { qos: 1, share: '', ...(version === 3 ? { rh: 2, rap: 1, nl: 1 } : { rh: 0, rap: 0, nl: 0 }) },
      },
    ],
    meta,
    userProps: userProps(version),
  }),
}
const aboutMessage: Sent = {
  request: (version) => ({ clientinfo: clientInfo(version), message: message(), meta: META }),
  event: (version) => ({ clientinfo: clientinfo(version), message: messageSeen, meta }),
}

/** By the RPC's name in version 3. */
const TOLD: Readonly<Record<string, Sent>> = {
  OnProviderLoaded: {
    request: (version) => ({
      broker: {
        version: '5.9.0',
        sysdescr: 'a broker',
        uptime: isOld(version) ? '2 days' : '5000000000',
        datetime: 'now',
      },
      meta: META,
    }),
    event: (version) => ({
      broker: {
        version: '5.9.0',
        sysdescr: 'a broker',
        uptime: isOld(version) ? null : '5000000000n',
        datetime: 'now',
      },
      meta,
    }),
  },
  OnProviderUnloaded: { request: () => ({ meta: META }), event: () => ({ meta }) },
  OnClientConnect: {
    request: (version) => ({ conninfo: connInfo(version), props: PROPS, meta: META, ...sentUserProps(version) }),
    event: (version) => ({ conninfo: conninfo(version), props: PROPS, meta, userProps: userProps(version) }),
  },
  OnClientConnack: {
    request: (version) => ({
      ...{ conninfo: connInfo(version), result_code: 'success', props: PROPS, meta: META },
      ...sentUserProps(version),
    }),
    event: (version) => ({
      ...{ conninfo: conninfo(version), resultCode: 'success', props: PROPS, meta },
      userProps: userProps(version),
    }),
  },
  OnClientConnected: aboutClient,
  OnClientDisconnected: aboutEnd,
  OnClientSubscribe: aboutFilters,
  OnClientUnsubscribe: aboutFilters,
  OnSessionCreated: aboutClient,
  OnSessionSubscribed: {
    request: (version) => ({
      ...{ clientinfo: clientInfo(version), topic: 'a/#', meta: META },
      subopts: { qos: 2, rh: 1, rap: 1, nl: 0, ...(version === 3 ? {} : { share: 'g' }) },
    }),
    event: (version) => ({
      ...{ clientinfo: clientinfo(version), topic: 'a/#', meta },
      subopts: { qos: 2, rh: 1, rap: 1, nl: 0, share: version === 3 ? '' : 'g' },
    }),
  },
  OnSessionUnsubscribed: {
    request: (version) => ({ clientinfo: clientInfo(version), topic: 'a/#', meta: META }),
    event: (version) => ({ clientinfo: clientinfo(version), topic: 'a/#', meta }),
  },
  OnSessionResumed: aboutClient,
  OnSessionDiscarded: aboutClient,
  OnSessionTakenover: aboutClient,
  OnSessionTerminated: aboutEnd,
  OnMessageDelivered: aboutMessage,
  OnMessageDropped: {
    request: () => ({ message: message(), reason: 'no_subscribers', meta: META }),
    event: () => ({ message: messageSeen, reason: 'no_subscribers', meta }),
  },
  OnMessageAcked: aboutMessage,
}

/** What the plugins have been told at a hookpoint since `from`. */
async function toldAt(hookpoint: string, from: number): Promise<unknown[]> {
  await engine.flush()
  const { lines } = logger
  await expect.poll(() => lines.slice(from).some((line) => line.message === hookpoint)).toBe(true)
  return lines.slice(from).flatMap((line) => (line.message === hookpoint ? [line.fields.event] : []))
}

const listed: string[] = []

/** A test of one RPC, named after it. */
function testRpc(rpc: string, version: ExhookVersion, does: string, run: () => Promise<void>): void {
  const name = `${rpc} of emqx.exhook.v${version} ${does}`
  listed.push(name)
  test(name, run)
}

describe.each(EXHOOK_VERSIONS)('version %d', (version) => {
  const rpcs = EXHOOK_RPCS[version]
  const hookpointOf = ({ subject }: ExhookRpc) =>
    EXHOOK_RPCS[3].find((rpc) => rpc.subject === subject)?.hookpoint as string

  for (const rpc of rpcs.filter(({ isValued }) => !isValued)) {
    const { request, event } = TOLD[rpc.subject] as Sent
    const isLoad = rpc.rpc === 'OnProviderLoaded'
    const does = isLoad ? 'names the hooks that are wanted' : 'is acknowledged, and plugins are told'
    testRpc(rpc.rpc, version, does, async () => {
      const from = logger.lines.length
      const answer = await brokers[version].call(rpc.rpc, request(version))
      const hooks = rpcs.flatMap(({ hook }) => (hook === null ? [] : [{ name: hook }]))
      expect(answer).toEqual(isLoad ? { hooks } : {})
      expect(await toldAt(hookpointOf(rpc), from)).toEqual([event(version)])
    })
  }

  const ask = (rpc: string, password: string, changes: Wire = {}) =>
    brokers[version].call(rpc, { clientinfo: clientInfo(version, { password }), meta: META, ...changes })
  const authorize = isOld(version) ? 'OnClientCheckAcl' : 'OnClientAuthorize'

  testRpc('OnClientAuthenticate', version, 'is answered with a bool', async () => {
    const rpc = 'OnClientAuthenticate'
    expect(await ask(rpc, 'yes')).toMatchObject({ type: 'CONTINUE', bool_result: true })
    expect(await ask(rpc, 'never', { result: true })).toMatchObject({ type: 'CONTINUE', bool_result: false })
    expect(await ask(rpc, 'yes!')).toMatchObject({ type: 'STOP_AND_RETURN', bool_result: true })
    expect(await ask(rpc, 'no way')).toMatchObject({ type: 'STOP_AND_RETURN', bool_result: false })
    expect(await ask(rpc, '', { result: true })).toEqual({ type: 'IGNORE' })
  })

  testRpc(authorize, version, 'is answered with a bool', async () => {
    const about = { type: 'SUBSCRIBE', topic: 'a/#' }
    expect(await ask(authorize, 'yes', about)).toMatchObject({ type: 'CONTINUE', bool_result: true })
    expect(await ask(authorize, 'yes!', about)).toMatchObject({ type: 'STOP_AND_RETURN', bool_result: true })
    expect(await ask(authorize, 'no way', about)).toMatchObject({ type: 'STOP_AND_RETURN', bool_result: false })
    expect(await ask(authorize, 'says', { ...about, result: true })).toEqual({ type: 'IGNORE' })
  })

  testRpc('OnMessagePublish', version, 'is answered with a message', async () => {
    const publish = (act: string, changes: Wire = {}) => {
      const sent = message({ headers: { username: 'ada', act }, ...changes })
      const more = version === 3 ? { props: PROPS, user_props: USER_PROPS } : {}
      return brokers[version].call('OnMessagePublish', { message: sent, meta: META, ...more })
    }
    const same = { ...message(), headers: undefined }
    const headers = (act: string, more: Wire = {}) => ({ username: 'ada', act, ...more })

    expect(await publish('')).toEqual({ type: 'IGNORE' })
    expect(await publish('topic up/2')).toEqual({
      type: 'CONTINUE',
      message: { ...same, topic: 'up/2', headers: headers('topic up/2') },
    })
    expect(await publish('payload new!')).toEqual({
      type: 'STOP_AND_RETURN',
      message: { ...same, payload: Buffer.from('new'), headers: headers('payload new!') },
    })
    expect(await publish('no thanks')).toEqual({
      type: 'STOP_AND_RETURN',
      message: { ...same, headers: headers('no thanks', { allow_publish: 'false' }) },
    })
  })
})

test('docs/exhook.md lists these tests, each RPC of each version once', async () => {
  const page = await readFile(new URL('../../docs/exhook.md', import.meta.url), 'utf8')
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d) \| (\S+) \| (.*) \|$/gm)].map(([, ...cells]) => cells)
  expect(rows.map(([, , , name]) => name).sort()).toEqual([...listed].sort())
  const described = EXHOOK_VERSIONS.flatMap((version) =>
    EXHOOK_RPCS[version].map(({ rpc, hook }) => `${rpc} ${version} ${hook === null ? '–' : `\`${hook}\``}`),
  )
  expect(rows.map(([rpc, version, hook]) => `${rpc} ${version} ${hook}`).sort()).toEqual(described.sort())
})
