/** A remote provider as a plugin that serves: order, topics, bounds, metrics; away, back, silent, failing. */
import { describe, expect, it } from 'vitest'
import { compileTopics } from '../../dist/worker/runtimes/exhook/topics.js'
import { clientinfo, meta } from '../support/exhook-events.js'
import { authenticate, latch, openExhook, publish } from '../support/exhook-lab.js'
import { type Answer, type Message, startProvider } from '../support/exhook-provider.js'
import { until } from '../support/lab.js'

const AUTHENTICATE = { hooks: [{ name: 'client.authenticate' }] }
const YES = { type: 'STOP_AND_RETURN', boolResult: true } as const
const clientOf = (request: Message) => (request.clientinfo as { clientid: string }).clientid

describe('topic filters', () => {
  const TOPICS = ['a', 'a/b', 'b', '$SYS/uptime', '$other/a']

  it.each<[string, string[], string[]]>([
    ['no filter is every message', [], ['a', 'a/b', 'b', '$other/a']],
    ['one level', ['a/+'], ['a/b']],
    ['all levels', ['a/#'], ['a', 'a/b']],
    ['several', ['a', 'x', '+/b'], ['a', 'a/b']],
    ['everything', ['#'], ['a', 'a/b', 'b']],
    ['what is below $SYS, which is skipped', ['$SYS/#', '$other/+'], ['$other/a']],
  ])('%s', (_, filters, wanted) => {
    expect(TOPICS.filter(compileTopics(filters))).toEqual(wanted)
  })

  it('say which messages the provider is asked about; of others it hears nothing', async () => {
    const topics = ['a/+', '#', '$SYS/#']
    const provider = await startProvider(3, { hooks: [{ name: 'message.publish', topics }] })
    const lab = await openExhook({ from: provider.url })
    for (const topic of TOPICS) expect(await publish(lab, topic)).toEqual({ kind: 'continue' })
    const asked = provider.requests('OnMessagePublish').map(({ message }) => (message as { topic: string }).topic)
    expect(asked).toEqual(['a', 'a/b', 'b'])
  })

  it('keep a message that is not wanted from waiting for its client’s turn', async () => {
    const first = latch()
    const hooks = [{ name: 'client.authenticate' }, { name: 'message.publish', topics: ['a'] }]
    const answers = {
      OnClientAuthenticate: async () => {
        await first.opened
        return YES
      },
    }
    const provider = await startProvider(3, { hooks, answers })
    const lab = await openExhook({ from: provider.url })
    const asked = authenticate(lab, 'c1')
    await provider.heard('OnClientAuthenticate')
    expect(await publish(lab, 'b', 'c1')).toEqual({ kind: 'continue' })
    first.open()
    expect(await asked).toMatchObject({ kind: 'replace' })
  })

  it('mean nothing for other hooks', async () => {
    const provider = await startProvider(3, { hooks: [{ name: 'client.authenticate', topics: ['x'] }] })
    const lab = await openExhook({ from: provider.url })
    await authenticate(lab)
    expect(provider.requests('OnClientAuthenticate')).toHaveLength(1)
  })
})

describe('order and bounds', () => {
  it('the events of one client go out one after the other, those of others meanwhile', async () => {
    const first = latch()
    const provider = await startProvider(3, {
      hooks: [{ name: 'client.authenticate' }, { name: 'client.connected' }],
      answers: {
        OnClientAuthenticate: async (request) => {
          if (clientOf(request) === 'c1') await first.opened
          return YES
        },
      },
    })
    const lab = await openExhook({ from: provider.url })
    const asked = authenticate(lab, 'c1')
    await provider.heard('OnClientAuthenticate')
    lab.hooks.onClientConnected({ clientinfo: clientinfo(3, 'c1') as never, meta })
    // Whatever was told before this one has reached the lane.
    await authenticate(lab, 'c2')
    expect(provider.requests('OnClientConnected')).toEqual([])
    first.open()
    expect(await asked).toMatchObject({ kind: 'replace' })
    await provider.heard('OnClientConnected')
    const rpcs = provider.calls
      .filter(({ rpc }) => rpc.startsWith('OnClient'))
      .map(({ rpc, request }) => [rpc, clientOf(request)])
    expect(rpcs).toEqual([
      ['OnClientAuthenticate', 'c1'],
      ['OnClientAuthenticate', 'c2'],
      ['OnClientConnected', 'c1'],
    ])
  })

  it('a hundred events of five clients arrive in each client’s order', async () => {
    const provider = await startProvider(3, { hooks: [{ name: 'client.disconnected' }] })
    const lab = await openExhook({ from: provider.url })
    for (let at = 0; at < 100; at += 1) {
      lab.hooks.onClientDisconnected({ clientinfo: clientinfo(3, `c${at % 5}`) as never, reason: String(at), meta })
    }
    const requests = await provider.heard('OnClientDisconnected', 100)
    for (let client = 0; client < 5; client += 1) {
      const reasons = requests
        .filter((request) => clientOf(request) === `c${client}`)
        .map(({ reason }) => Number(reason))
      expect(reasons).toEqual(Array.from({ length: 20 }, (_, at) => 5 * at + client))
    }
  })

  it('no more requests are under way than limits.concurrency says', async () => {
    let [underWay, most] = [0, 0]
    const provider = await startProvider(3, {
      ...AUTHENTICATE,
      answers: {
        OnClientAuthenticate: async () => {
          underWay += 1
          most = Math.max(most, underWay)
          await new Promise((resolve) => setTimeout(resolve, 5))
          underWay -= 1
          return YES
        },
      },
    })
    const lab = await openExhook({ from: provider.url, limits: { concurrency: 3 } })
    await Promise.all(Array.from({ length: 12 }, (_, at) => authenticate(lab, `c${at}`)))
    expect(most).toBe(3)
  })
})

describe('metrics', () => {
  it('calls, failures and times are counted for each hook', async () => {
    const provider = await startProvider(3, {
      hooks: [{ name: 'client.authenticate' }, { name: 'client.authorize' }],
      answers: {
        OnClientAuthenticate: (request) => (clientOf(request) === 'bad' ? { code: 13, details: 'broken' } : YES),
        OnClientAuthorize: () => ({ type: 'STOP_AND_RETURN', boolResult: false }),
      },
    })
    const lab = await openExhook({ from: provider.url })
    await authenticate(lab, 'c1')
    await authenticate(lab, 'c2')
    expect(await authenticate(lab, 'bad')).toMatchObject({
      kind: 'reject',
      failure: {
        ...{ kind: 'error', plugin: 'remote', hookpoint: 'onClientAuthenticate' },
        message: expect.stringContaining('OnClientAuthenticate: INTERNAL: broken'),
      },
    })
    const client = clientinfo(3) as never
    await lab.hooks.onClientAuthorize({ clientinfo: client, type: 'PUBLISH', topic: 'a', result: true, meta })
    const of = (name: string, hookpoint: string, more = {}) =>
      lab.metric(name, { plugin: 'remote', hookpoint, ...more })
    expect(await of('plugin_calls_total', 'onClientAuthenticate')).toBe(3)
    expect(await of('plugin_verdicts_total', 'onClientAuthenticate', { verdict: 'replace' })).toBe(2)
    expect(await of('plugin_failures_total', 'onClientAuthenticate', { failure: 'error' })).toBe(1)
    expect(await of('plugin_running_seconds_count', 'onClientAuthenticate')).toBe(2)
    expect(await of('plugin_running_seconds_sum', 'onClientAuthenticate')).toBeGreaterThan(0)
    expect(await of('plugin_calls_total', 'onClientAuthorize')).toBe(1)
    expect(await of('plugin_verdicts_total', 'onClientAuthorize', { verdict: 'reject' })).toBe(1)
    expect(await of('plugin_failures_total', 'onClientAuthorize')).toBe(0)
  })
})

describe('a provider that fails', () => {
  it('that never answers is a timeout, and is asked on', async () => {
    let answer: Answer = 'never'
    const provider = await startProvider(3, { ...AUTHENTICATE, answers: { OnClientAuthenticate: () => answer } })
    const lab = await openExhook({ from: provider.url, timeoutMs: 100 })
    // The one behind has less time: where both end at the same moment its turn may come in between.
    const event = { clientinfo: clientinfo(3, 'c1') as never, result: true, meta }
    const [first, behind] = await Promise.all([
      authenticate(lab),
      lab.hooks.onClientAuthenticate(event, { timeoutMs: 50 }),
    ])
    expect(first).toMatchObject({ kind: 'reject', failure: { kind: 'timeout', plugin: 'remote' } })
    // Its turn had not come.
    expect(behind).toMatchObject({ kind: 'reject', failure: { kind: 'timeout', plugin: 'remote' } })
    expect(provider.requests('OnClientAuthenticate')).toHaveLength(1)
    answer = YES
    expect(await authenticate(lab)).toMatchObject({ kind: 'replace' })
    expect(lab.said.laneReplaced).toEqual([])
  })

  it('is allowed to, where the policy says so', async () => {
    const provider = await startProvider(3, {
      ...AUTHENTICATE,
      answers: { OnClientAuthenticate: () => ({ code: 13, details: '' }) },
    })
    const lab = await openExhook({ from: provider.url, onFailure: 'allow' })
    expect(await authenticate(lab)).toMatchObject({ kind: 'continue', failure: { kind: 'error' } })
  })

  it('is given up when the caller gives up', async () => {
    const provider = await startProvider(3, { ...AUTHENTICATE, answers: { OnClientAuthenticate: () => 'never' } })
    const lab = await openExhook({ from: provider.url, limits: { concurrency: 1 } })
    const controller = new AbortController()
    const event = { clientinfo: clientinfo(3) as never, result: true, meta }
    const asked = lab.hooks.onClientAuthenticate(event, { signal: controller.signal })
    await provider.heard('OnClientAuthenticate')
    controller.abort()
    await expect(asked).rejects.toMatchObject({ code: 'CALL_ABORTED' })
    // The one place that there is becomes free.
    const again = authenticate(lab)
    await provider.heard('OnClientAuthenticate', 2)
    provider.end()
    expect(await again).toMatchObject({ kind: 'reject', failure: { kind: 'error' } })
  })
})

describe('a provider that goes away', () => {
  it('is denied for, comes back on its own, and is loaded anew', async () => {
    const before = await startProvider(3, { ...AUTHENTICATE, answers: { OnClientAuthenticate: () => YES } })
    const lab = await openExhook({ from: before.url })
    expect(await authenticate(lab)).toMatchObject({ kind: 'replace' })
    before.end()
    await lab.line(({ message }) => message.includes('is lost'))
    await until('calls to be denied at once', async () => {
      const verdict = await authenticate(lab)
      return (
        verdict.kind === 'reject' && verdict.failure?.kind === 'error' && verdict.failure.message.includes('is away')
      )
    })
    const after = await startProvider(3, {
      ...AUTHENTICATE,
      port: before.port,
      answers: { OnClientAuthenticate: () => YES },
    })
    await lab.line(({ message }) => message.includes('is back'))
    expect(await authenticate(lab)).toMatchObject({ kind: 'replace' })
    expect(after.requests('OnProviderLoaded')).toHaveLength(1)
    expect(lab.said.laneReplaced).toEqual([])
  })

  it('is asked nothing before it has been loaded anew, and calls wait for that', async () => {
    const before = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: before.url })
    before.end()
    await lab.line(({ message }) => message.includes('is lost'))
    const loading = latch()
    const after = await startProvider(3, {
      hooks: [],
      port: before.port,
      answers: {
        OnProviderLoaded: async () => {
          await loading.opened
          return { hooks: [{ name: 'client.authenticate', topics: [] }] }
        },
        OnClientAuthenticate: () => YES,
      },
    })
    await after.heard('OnProviderLoaded')
    const asked = authenticate(lab)
    await until(
      'the call to be in the lane',
      async () => (await lab.metric('in_flight', { bulkhead: 'remote-0' })) === 1,
    )
    expect(after.requests('OnClientAuthenticate')).toEqual([])
    loading.open()
    expect(await asked).toMatchObject({ kind: 'replace' })
  })

  it('may want other hooks when it is back: fewer are not called, more take a reload', async () => {
    const before = await startProvider(3, { hooks: [{ name: 'client.authenticate' }, { name: 'message.publish' }] })
    const lab = await openExhook({ from: before.url })
    before.end()
    const hooks = [{ name: 'message.publish', topics: ['b'] }, { name: 'client.connected' }]
    const after = await startProvider(3, { hooks, port: before.port })
    const { message } = await lab.line(({ level, message }) => level === 'warn' && message.includes('reload'))
    expect(message).toContain('client.connected')
    await lab.line(({ message }) => message.includes('is back'))
    await authenticate(lab)
    await publish(lab, 'a')
    await publish(lab, 'b')
    expect(after.calls.map(({ rpc }) => rpc)).toEqual(['OnProviderLoaded', 'OnMessagePublish'])
    await lab.engine.reload('remote')
    expect(lab.engine.plugins[0]?.hooks).toEqual(['onClientConnected', 'onMessagePublish'])
  })

  it('and cannot be loaded when it is back stays away, and is tried again', async () => {
    const before = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: before.url })
    before.end()
    let hook = 'client.dance'
    await startProvider(3, {
      hooks: [],
      port: before.port,
      answers: { OnProviderLoaded: () => ({ hooks: [{ name: hook, topics: [] }] }) },
    })
    const { message } = await lab.line(({ level }) => level === 'error')
    expect(message).toContain('"client.dance"')
    expect(await authenticate(lab)).toMatchObject({ kind: 'reject', failure: { kind: 'error' } })
    hook = 'client.authenticate'
    await lab.line(({ message }) => message.includes('is back') && !message.includes('cannot'))
    expect(await authenticate(lab)).toEqual({ kind: 'continue' })
  })

  it('and is away when its plugin is removed is not waited for', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: provider.url })
    provider.end()
    await lab.line(({ message }) => message.includes('is lost'))
    await lab.engine.remove('remote')
    expect(await lab.line(({ message }) => message.includes('not told that it is unloaded'))).toMatchObject({
      level: 'info',
    })
  })

  it('again and again is loaded anew each time', async () => {
    let loads = 0
    const hooks = [{ name: 'client.authenticate', topics: [] }]
    let current = await startProvider(3, AUTHENTICATE)
    const { port } = current
    const lab = await openExhook({ from: current.url })
    const back = () => lab.lines.filter(({ message }) => message.includes('is back')).length
    for (let losses = 1; losses <= 3; losses += 1) {
      current.end()
      const answers = {
        OnProviderLoaded: () => {
          loads += 1
          return { hooks }
        },
      }
      current = await startProvider(3, { hooks: [], port, answers })
      await until('the provider to be back', () => back() === losses)
    }
    expect(loads).toBe(3)
    expect(await authenticate(lab)).toEqual({ kind: 'continue' })
  })
})

const REFUSALS = [
  [3, 'INVALID_ARGUMENT'],
  [5, 'NOT_FOUND'],
  [7, 'PERMISSION_DENIED'],
  [9, 'FAILED_PRECONDITION'],
  [16, 'UNAUTHENTICATED'],
] as const
const SICKNESSES = [2, 4, 8, 12, 13, 14] as const
const HOOKS = ['client.authenticate', 'client.connected', 'message.publish'].map((name) => ({ name }))
const failing = (code: number) => () => ({ code, details: 'no' })

describe('a status of gRPC', () => {
  it.each(REFUSALS)('%i is an answer to one request: %s', async (code, name) => {
    const answers = {
      OnClientAuthenticate: failing(code),
      OnMessagePublish: failing(code),
      OnClientConnected: failing(code),
    }
    const provider = await startProvider(3, { hooks: HOOKS, answers })
    const lab = await openExhook({ from: provider.url }, { quarantine: undefined })
    for (let times = 0; times < 30; times += 1) {
      const verdict = await authenticate(lab)
      expect(verdict).toMatchObject({ kind: 'reject', reason: `OnClientAuthenticate: ${name}: no` })
      expect(verdict).not.toHaveProperty('failure')
    }
    expect(await publish(lab, 'a')).toMatchObject({ kind: 'reject', reason: `OnMessagePublish: ${name}: no` })
    lab.hooks.onClientConnected({ clientinfo: clientinfo(3) as never, meta })
    await lab.line(({ level, message }) => level === 'warn' && message.includes('refuses to be told'))
    expect(lab.engine.plugins).toMatchObject([{ state: 'active' }])
  })

  it.each(REFUSALS)('%i lets pass where the operator lets failures pass: %s', async (code) => {
    const provider = await startProvider(3, { hooks: HOOKS, answers: { OnClientAuthenticate: failing(code) } })
    const lab = await openExhook({ from: provider.url, onFailure: 'allow' })
    expect(await authenticate(lab)).toEqual({ kind: 'continue' })
  })

  it.each(SICKNESSES)('%i is a failure of the provider', async (code) => {
    const provider = await startProvider(3, { hooks: HOOKS, answers: { OnClientAuthenticate: failing(code) } })
    const lab = await openExhook({ from: provider.url }, { quarantine: undefined })
    for (let times = 0; times < 25; times += 1) {
      expect(await authenticate(lab)).toMatchObject({ kind: 'reject', failure: { plugin: 'remote' } })
    }
    await until('the quarantine', () => lab.engine.plugins[0]?.state === 'quarantined')
  })
})

describe('what is wrong again and again', () => {
  it('is logged once in a while, with how often it was', async () => {
    const answers = { OnMessagePublish: () => ({ type: 'CONTINUE', boolResult: true }) }
    const provider = await startProvider(3, { hooks: HOOKS, answers })
    const lab = await openExhook({ from: provider.url })
    for (let times = 0; times < 30; times += 1) expect(await publish(lab, 'a')).toEqual({ kind: 'continue' })
    const { message } = await lab.line(({ message }) => message.includes('IGNORE'))
    expect(message).toMatch(/OnMessagePublish: .* has no message but a bool_result: it is taken for IGNORE/)
    expect(lab.lines.filter(({ message }) => message.includes('IGNORE')).length).toBeLessThan(3)
  })
})

/** A provider whose second loading waits until `loading` opens. */
async function startSlowReloader() {
  let count = 0
  const loading = latch()
  const answers = {
    OnProviderLoaded: async () => {
      count += 1
      if (count > 1) await loading.opened
      return { hooks: [{ name: 'client.authenticate' }] }
    },
    OnClientAuthenticate: () => YES,
  }
  const provider = await startProvider(3, { ...AUTHENTICATE, answers })
  return { provider, loading, loadings: () => count }
}

describe('loaded and unloaded', () => {
  const lifecycle = (provider: { calls: readonly { rpc: string }[] }) =>
    provider.calls.map(({ rpc }) => rpc).filter((rpc) => rpc.startsWith('OnProvider'))

  it('a reload takes leave first, and the old lane says nothing more', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: provider.url })
    await lab.engine.reload('remote')
    await lab.engine.reload('remote', { timeoutMs: 4_000 })
    await authenticate(lab)
    await lab.engine.close()
    expect(lifecycle(provider)).toEqual([
      'OnProviderLoaded',
      ...['OnProviderUnloaded', 'OnProviderLoaded'],
      ...['OnProviderUnloaded', 'OnProviderLoaded'],
      'OnProviderUnloaded',
    ])
  })

  it('nothing is asked between the leave and the next loading: calls wait for that', async () => {
    const { provider, loading, loadings } = await startSlowReloader()
    const lab = await openExhook({ from: provider.url })
    const reloading = lab.engine.reload('remote')
    await until('the leave', () => provider.requests('OnProviderUnloaded').length === 1)
    const asked = ['c1', 'c2', 'c3'].map((clientid) => authenticate(lab, clientid))
    await until('the loading', () => loadings() === 2)
    expect(provider.requests('OnClientAuthenticate')).toEqual([])
    loading.open()
    await reloading
    for (const verdict of await Promise.all(asked)) expect(verdict).toMatchObject({ kind: 'replace' })
    expect(await authenticate(lab)).toMatchObject({ kind: 'replace' })
  })

  it('what waits for the next loading has no more than its time', async () => {
    const { provider, loading, loadings } = await startSlowReloader()
    const lab = await openExhook({ from: provider.url, timeoutMs: 100 })
    const reloading = lab.engine.reload('remote')
    await until('the loading', () => loadings() === 2)
    expect(await authenticate(lab)).toMatchObject({ kind: 'reject', failure: { kind: 'timeout' } })
    loading.open()
    await reloading
    expect(provider.requests('OnClientAuthenticate')).toEqual([])
  })

  it('a reload that fails leaves the provider loaded, and its plugin serving', async () => {
    let loadings = 0
    const answers = {
      OnProviderLoaded: () => {
        loadings += 1
        return loadings === 2 ? { code: 7, details: 'not now' } : { hooks: [{ name: 'client.authenticate' }] }
      },
      OnClientAuthenticate: () => YES,
    }
    const provider = await startProvider(3, { ...AUTHENTICATE, answers })
    const lab = await openExhook({ from: provider.url })
    await expect(lab.engine.reload('remote')).rejects.toMatchObject({ code: 'PROVIDER_INVALID' })
    expect(await authenticate(lab)).toMatchObject({ kind: 'replace' })
    expect(lifecycle(provider).at(-1)).toBe('OnProviderLoaded')
  })

  it('removed and added again at once, it ends up loaded', async () => {
    const provider = await startProvider(3, AUTHENTICATE)
    const lab = await openExhook({ from: provider.url })
    await lab.engine.remove('remote')
    await lab.engine.add({ from: provider.url, runtime: 'exhook', name: 'again' })
    expect(lifecycle(provider)).toEqual(['OnProviderLoaded', 'OnProviderUnloaded', 'OnProviderLoaded'])
  })
})

describe('time and connections', () => {
  it('a provider has five seconds, where nothing else is said', async () => {
    const answers = {
      OnClientAuthenticate: () => new Promise<Answer>((resolve) => setTimeout(() => resolve(YES), 400)),
    }
    const provider = await startProvider(3, { ...AUTHENTICATE, answers })
    const lab = await openExhook({ from: provider.url }, { timeoutMs: undefined })
    expect(await authenticate(lab)).toMatchObject({ kind: 'replace' })
  })

  it('an engine’s own timeoutMs is that of a provider too, whatever it is', async () => {
    const provider = await startProvider(3, { ...AUTHENTICATE, answers: { OnClientAuthenticate: () => 'never' } })
    const lab = await openExhook({ from: provider.url }, { timeoutMs: 100 })
    const verdict = await authenticate(lab)
    expect(verdict).toMatchObject({ failure: { kind: 'timeout', message: expect.stringContaining('after 100 ms') } })
  })

  it('poolSize is how many connections carry its requests', async () => {
    const provider = await startProvider(3, { ...AUTHENTICATE, answers: { OnClientAuthenticate: () => YES } })
    const lab = await openExhook({ from: provider.url, config: { poolSize: 3 } })
    await until('three connections', async () => {
      for (let client = 0; client < 6; client += 1) await authenticate(lab, `c${client}`)
      return provider.peers.size === 3
    })
    await expect(openExhook({ from: provider.url, config: { poolSize: 0 } })).rejects.toMatchObject({
      code: 'PLUGIN_CONFIG_INVALID',
    })
  })
})
