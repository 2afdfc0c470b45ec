/** What operators change of the acl and auth plugins while the broker runs, asked in real lanes. */
import { createHookEngine } from 'hookring'
import { mqtt } from 'hookring/contracts'
import { acl, aclControl, auth, authControl } from 'hookring/hooks'
import { expect, test } from 'vitest'
import { recordingLogger } from '../support/recording-logger.js'

const client = { clientId: 'c', username: 'ada', remoteAddress: '', protocolVersion: 4, clean: true, keepalive: 0 }
const login = (username: string, password: string) => ({
  client: { ...client, username },
  password: Buffer.from(password),
  will: null,
})
const message = (topic: string) => ({
  client,
  packet: { topic, payload: new Uint8Array(), qos: 0 as const, retain: false },
})

const start = (plugin: ReturnType<typeof acl> | ReturnType<typeof auth>) =>
  createHookEngine({ contract: mqtt, plugins: [plugin], timeoutMs: 5_000, logger: recordingLogger() })

test('rules are added behind those that there are, and cleared', async () => {
  await using engine = await start(acl({ rules: [{ topicFilter: 'a', write: true }], denyByDefault: true }))
  const mayWrite = async (topic: string) => (await engine.hooks.onPublish(message(topic))).kind === 'continue'
  const control = aclControl(engine)
  expect([await mayWrite('a'), await mayWrite('b')]).toEqual([true, false])
  await Promise.all([
    control.addRule({ topicFilter: 'b', write: true }),
    control.addRule({ topicFilter: 'a', write: false }, { topicFilter: 'c', write: true }),
  ])
  expect([await mayWrite('a'), await mayWrite('b'), await mayWrite('c')]).toEqual([true, true, true])
  await control.clearRules()
  expect([await mayWrite('a'), await mayWrite('b'), await mayWrite('c')]).toEqual([false, false, false])
})

test('a rule that is none is refused, and the rules stay', async () => {
  await using engine = await start(acl({ rules: [{ topicFilter: 'a', write: true }], denyByDefault: true }))
  await expect(aclControl(engine).addRule({ topicFilter: 'a/#/b' })).rejects.toMatchObject({
    code: 'PLUGIN_CONFIG_INVALID',
  })
  expect(await engine.hooks.onPublish(message('a'))).toMatchObject({ kind: 'continue' })
  await expect(aclControl(engine, 'none').clearRules()).rejects.toMatchObject({ code: 'PLUGIN_UNKNOWN' })
})

test('users are added, changed and removed', async () => {
  await using engine = await start(auth({ credentials: { ada: 'one' } }))
  const mayIn = async (name: string, password: string) =>
    (await engine.hooks.onConnect(login(name, password))).kind === 'continue'
  const control = authControl(engine)
  await control.addUser('bob', 'two')
  await control.addUser('ada', 'three')
  expect([await mayIn('bob', 'two'), await mayIn('ada', 'three'), await mayIn('ada', 'one')]).toEqual([
    true,
    true,
    false,
  ])
  expect(await control.removeUser('bob')).toBe(true)
  expect(await control.removeUser('bob')).toBe(false)
  expect([await mayIn('bob', 'two'), await mayIn('ada', 'three')]).toEqual([false, true])
})
