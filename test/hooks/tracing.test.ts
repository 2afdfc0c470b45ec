import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHookEngine, type HookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { tracing } from 'hookring/hooks'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { channelOf, keyOf, messageEvent } from '../support/delivery-events.js'
import { recordingLogger } from '../support/recording-logger.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tracing-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

async function fireAll({ hooks, flush }: HookEngine<(typeof delivery)['hookpoints']>) {
  await hooks.onMessageEnqueue(messageEvent({ seq: 2n ** 64n - 1n }), { traceId: 'trace-1' })
  hooks.onBatchEnqueue({ events: [messageEvent(), messageEvent()] })
  hooks.onAuth({ username: 'ada', success: true, failureReason: '' })
  hooks.onAuth({ username: 'eve\n', success: false, failureReason: 'wrong password' })
  hooks.onChannelCreated({ channelId: channelOf(4), initiatorKey: keyOf(5), peerKey: keyOf(6), wasNew: true })
  hooks.onFetch({ recipientKey: keyOf(7), channelId: channelOf(8), messageCount: 9 })
  hooks.onUserRegistered({ username: 'bob', identityKey: keyOf(10) })
  await flush()
}

const EXPECTED = [
  {
    level: 'info',
    message: 'hook: message enqueued',
    fields: { recipientPrefix: 'abababab', payloadLen: 100, seq: '18446744073709551615', traceId: 'trace-1' },
  },
  { level: 'info', message: 'hook: batch enqueued', fields: { count: 2 } },
  { level: 'info', message: 'hook: login success', fields: { username: 'ada' } },
  { level: 'warn', message: 'hook: login failure', fields: { username: 'eve\\n', reason: 'wrong password' } },
  {
    level: 'info',
    message: 'hook: channel created',
    fields: { channelPrefix: '04040404', initiatorPrefix: '05050505', peerPrefix: '06060606', wasNew: true },
  },
  {
    level: 'debug',
    message: 'hook: messages fetched',
    fields: { recipientPrefix: '07070707', channelPrefix: '08080808', messageCount: 9 },
  },
  { level: 'info', message: 'hook: user registered', fields: { username: 'bob', identityPrefix: '0a0a0a0a' } },
]

test.each(['debug', 'info', 'warn'] as const)(
  'at level %s the host logger gets the lines of that level and above',
  async (level) => {
    const logger = recordingLogger()
    await using engine = await createHookEngine({ contract: delivery, plugins: [tracing({ level })], logger })
    await fireAll(engine)
    await engine.close()
    const levels = ['debug', 'info', 'warn']
    const expected = EXPECTED.filter((line) => levels.indexOf(line.level) >= levels.indexOf(level))
    expect(logger.lines.filter(({ message }) => message.startsWith('hook:'))).toMatchObject(expected)
  },
)

test('with a destination, pino writes the same lines to the file and the host logger gets none', async () => {
  const logger = recordingLogger()
  const destination = join(folder, 'logs', 'trace.log')
  {
    await using engine = await createHookEngine({
      contract: delivery,
      plugins: [tracing({ level: 'debug', destination })],
      logger,
    })
    await fireAll(engine)
  }
  const numbers: Record<string, number> = { debug: 20, info: 30, warn: 40 }
  const lines = readFileSync(destination, 'utf8').trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line))).toMatchObject(
    EXPECTED.map(({ level, message, fields }) => ({ level: numbers[level], msg: message, name: 'tracing', ...fields })),
  )
  expect(logger.lines.filter(({ message }) => message.startsWith('hook:'))).toEqual([])
})

test('tracing does not stop the mail when it fails, unless the operator says so', () => {
  expect(tracing()).toMatchObject({ onFailure: 'allow' })
  expect(tracing({}, { onFailure: 'deny' })).toMatchObject({ onFailure: 'deny' })
})
