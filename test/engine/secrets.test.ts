/** Secret fields on their way through an engine: who sees them, and where nobody does. */
import { tracingChannel } from 'node:diagnostics_channel'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { type CallTraceMessage, createHookEngine, type PluginOptions } from 'hookring'
import { defineContract, gate, mqtt, observe, respond, secret, transform } from 'hookring/contracts'
import { generateEvents, replayEvents } from 'hookring/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { refusalOf, until } from '../support/lab.js'
import { recordingLogger } from '../support/recording-logger.js'

const CANARY = 'hunter2-canary'

const login = z.object({
  user: z.string(),
  password: secret(z.string()),
  more: z.object({ tokens: z.array(secret(z.string())), attempt: z.int() }).optional(),
})
const vault = defineContract('vault', 1, {
  onLogin: gate(login),
  onRewrite: transform(login),
  onSeen: observe(login),
  onAsk: respond(login, z.object({ token: secret(z.string()), size: z.int().max(99) })),
})
const EVENT = { user: 'ada', password: CANARY, more: { tokens: [CANARY], attempt: 1 } }

const PLUGIN = `
import { definePlugin, reject, replace } from 'hookring/plugin'
export default definePlugin({ name: 'vault', version: 1, hookpoints: {} }, { name: 'teller', setup: ({ log }) => ({
  onLogin(event) {
    log.info('whole', { event })
    log.info('part', { more: event.more })
    console.log('printed', event)
    return event.password === '${CANARY}' && event.more.tokens[0] === '${CANARY}' && event.copy().password === '${CANARY}'
      ? reject('seen') : undefined
  },
  onRewrite: (event) => replace({ ...event.copy(), user: 'eve' }),
  onAsk: (event) => ({ token: event.password, size: event.more.attempt }),
}) })
`

async function open(plugin: Partial<PluginOptions> = {}) {
  const folder = await mkdtemp(join(fileURLToPath(new URL('../../.cache/', import.meta.url)), 'secrets-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const from = join(folder, 'teller.mjs')
  await writeFile(from, PLUGIN)
  const logger = recordingLogger()
  const engine = await createHookEngine({
    contract: vault,
    plugins: [{ from, timeoutMs: 5_000, ...plugin }],
    spares: 0,
    logger,
  })
  onTestFinished(() => engine.close())
  return { engine, folder, lines: logger.lines }
}

describe('a secret field', () => {
  it.each<Partial<PluginOptions>>([
    { runtime: 'module' },
    { runtime: 'quickjs' },
    { runtime: 'compartment' },
    { runtime: 'module', boundary: 'process' },
    { runtime: 'quickjs', boundary: 'process' },
  ])('reaches hooks as it is, and no log that an event is given to as a whole: $runtime, $boundary', async (plugin) => {
    const { engine, lines } = await open(plugin)
    expect(await engine.hooks.onLogin(EVENT)).toMatchObject({ kind: 'reject', reason: 'seen' })
    await until('the lines', () => lines.filter(({ message }) => /whole|printed/.test(String(message))).length === 2)
    const [whole, printed] = lines.filter(({ message }) => /whole|printed/.test(String(message)))
    expect(inspect([whole, printed], { depth: 9 })).not.toContain('hunter2')
    expect(inspect(whole, { depth: 9 })).toContain('ada')
    expect(inspect(whole, { depth: 9 })).toContain('[secret]')
  })

  it('is not in what subscribers of hookring:call are told, before or after', async () => {
    const { engine } = await open()
    const told: CallTraceMessage[] = []
    const channel = tracingChannel<string, CallTraceMessage>('hookring:call')
    const listener = { asyncEnd: (message: CallTraceMessage) => told.push({ ...message }) }
    channel.subscribe(listener as never)
    onTestFinished(() => channel.unsubscribe(listener as never))
    expect(await engine.hooks.onRewrite(EVENT)).toMatchObject({ kind: 'replace', event: { ...EVENT, user: 'eve' } })
    expect(await engine.hooks.onAsk(EVENT)).toMatchObject({ kind: 'respond', value: { token: CANARY } })
    await expect(engine.hooks.onLogin({ ...EVENT, more: 1 } as never)).rejects.toMatchObject({ code: 'EVENT_INVALID' })
    expect(told.length).toBe(3)
    expect(inspect(told, { depth: 9 })).not.toContain('hunter2')
    expect(told[0]).toMatchObject({ event: { user: 'ada', password: '[secret]', more: { attempt: 1 } } })
    expect(told[0]?.result).toMatchObject({ kind: 'replace', event: { user: 'eve', password: '[secret]' } })
    expect(told[1]?.result).toMatchObject({ kind: 'respond', value: { token: '[secret]', size: 1 } })
  })

  it('is not in the failure of an answer that does not fit', async () => {
    const { engine, lines } = await open()
    const failure = await refusalOf(engine.hooks.onAsk({ ...EVENT, more: { tokens: [], attempt: 100 } }))
    expect(failure.message).toContain('size must be')
    expect(inspect([failure, lines], { depth: 9 })).not.toContain('hunter2')
  })

  it('is masked in a recording, which can be replayed', async () => {
    const { engine, folder } = await open()
    const file = join(folder, 'masked.ndjson')
    const recording = await engine.record(file)
    await engine.hooks.onLogin(EVENT)
    await recording.stop()
    expect(await readFile(file, 'utf8')).not.toContain('hunter2')
    for await (const { event } of replayEvents(file, { contract: vault })) {
      expect(event).toEqual({ user: 'ada', password: 'xxxxxxxx', more: { tokens: ['xxxxxxxx'], attempt: 1 } })
      expect(await engine.hooks.onLogin(event as never)).toEqual({ kind: 'continue' })
    }
    const header = JSON.parse((await readFile(file, 'utf8')).split('\n')[0] as string)
    expect(header.redacted).toContain('onLogin.password')
    expect(header.redacted).toContain('onLogin.more.tokens')
  })

  it('is in a recording if the operator asks for it by its name', async () => {
    const { engine, folder } = await open()
    const record = async (options: Parameters<typeof engine.record>[1]) => {
      const file = join(folder, `${Math.random()}.ndjson`)
      const recording = await engine.record(file, options)
      await engine.hooks.onLogin(EVENT)
      await recording.stop()
      return JSON.parse((await readFile(file, 'utf8')).split('\n')[1] as string).event
    }
    expect(await record({ reveal: ['password'] })).toMatchObject({ password: CANARY, more: { tokens: ['xxxxxxxx'] } })
    expect(await record({ reveal: ['onLogin.more.tokens'] })).toMatchObject({
      password: 'xxxxxxxx',
      more: { tokens: [CANARY] },
    })
    // What is redacted stays so.
    expect(await record({ reveal: ['password'], redact: ['password'] })).toMatchObject({
      password: 'x'.repeat(CANARY.length),
    })
    expect(await record({ redact: { password: 'said instead' } })).toMatchObject({ password: 'said instead' })
  })

  it.each(['user', 'more', 'nothing', 'onLogin'])('is not revealed by a name that is none of one: %s', async (path) => {
    const { engine, folder } = await open()
    const error = await refusalOf(engine.record(join(folder, 'none.ndjson'), { reveal: [path] }))
    expect(error).toMatchObject({ code: 'OPTIONS_INVALID', path: ['reveal', path] })
    expect(error.message).toMatch(path === 'nothing' ? /has a field/ : /onLogin\.password/)
  })
})

it('passwords of MQTT clients are in no recording', async () => {
  const folder = await mkdtemp(join(fileURLToPath(new URL('../../.cache/', import.meta.url)), 'secrets-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const engine = await createHookEngine({ contract: mqtt, spares: 0, logger: recordingLogger() })
  onTestFinished(() => engine.close())
  const file = join(folder, 'mqtt.ndjson')
  const recording = await engine.record(file)
  const next = generateEvents(mqtt, 'onConnect', { seed: 1 })
  await engine.hooks.onConnect({ ...next(), password: Buffer.from(CANARY) } as never)
  await recording.stop()
  const text = await readFile(file, 'utf8')
  expect(text).toContain('"password":""')
  expect(text).not.toContain(Buffer.from(CANARY).toString('base64').slice(0, 8))
})
