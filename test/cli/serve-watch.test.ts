/** `hookring serve --watch`, run as a user does. */
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { expect, it, onTestFinished } from 'vitest'
import { startCommand } from '../support/command.js'
import { until } from '../support/lab.js'
import { project } from '../support/projects.js'

const plugin = (username: string) => `
import { mqtt } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
const allowed: string = '${username}'
export default definePlugin(mqtt, {
  name: 'gate',
  setup: () => ({ onConnect: ({ client }) => (client.username === allowed ? undefined : reject('no')) }),
})`

it('reloads a plugin that is written, says so, and goes on where a version does not load', async () => {
  const made = project({
    'gate.ts': plugin('ada'),
    'broker.json': '{ "mqtt": { "listen": [{ "port": 0 }], "plugins": [{ "from": "./gate.ts" }] } }',
  })
  const { child, ended } = startCommand(['serve', join(made.folder, 'broker.json'), '--watch'])
  let text = ''
  child.stdout?.on('data', (part) => {
    text += part
  })
  const says = (what: string) => until(`its line with ${what}`, () => text.includes(what))
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  await says('"msg":"ready"')
  const port = Number(/tcp:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1])
  const connect = async (username: string) => {
    const client = await connectAsync({ port, host: '127.0.0.1', reconnectPeriod: 0, username, password: '' })
    await client.endAsync(true)
  }
  await connect('ada')
  made.write('gate.ts', plugin('bob'))
  await says('gate is loaded anew')
  await connect('bob')
  await expect(connect('ada')).rejects.toThrow()
  made.write('gate.ts', 'export default {')
  await says('PLUGIN_IMPORT_FAILED')
  await connect('bob')
  child.kill('SIGTERM')
  expect(await ended).toMatchObject({ code: 0 })
})
