/** The page that leads from Rayforce's hooks to the tests: its samples run, and the tests that it names are there. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { serve } from '../support/connections.js'
import { refusalOf, until } from '../support/lab.js'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const page = read('docs/connection.md')

test('each test that docs/connection.md names is there', () => {
  const files = readdirSync(new URL('test/adapters/', ROOT)).filter((name) => name.startsWith('connection-'))
  const sources = [...files.map((name) => `test/adapters/${name}`), 'test/contracts/connection.test.ts'].map(read)
  const tests = sources.join('\n')
  const tables = page.split("## Rayforce's hooks, and the tests")[1]?.split('\n## ')[0] ?? ''
  const rows = tables.split('\n').filter((line) => /^\| (?!---)/.test(line) && line.includes('`'))
  const named = rows.flatMap((row) => [...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name))
  expect(named.length).toBeGreaterThan(40)
  for (const name of named) expect(tests.includes(`'${name}'`), String(name)).toBe(true)
})

test('its plugin does what the page says', async () => {
  const source = read('test/adapters/fixtures/connection/audit.ts').replace(/^\/\*\*.*\*\/\n+/, '')
  expect(page).toContain(`\`\`\`ts plugins/audit.ts\n${source}\`\`\``)
  const { client, lines } = await serve({
    plugins: [
      {
        from: new URL('fixtures/connection/audit.ts', import.meta.url),
        partitionBy: 'handle',
        services: ['evaluate'],
        timeoutMs: 5_000,
      },
    ],
    users: { ada: 'secret', ban: 'secret' },
    restricted: ({ user }) => user !== 'ada',
    handler: (message, { restricted }) => ({ message, restricted }),
  })
  const c = await client({ user: 'ada', password: 'secret' })
  expect(await c.sync({ select: 'orders' })).toEqual({
    from: c.handle,
    value: { message: { select: 'orders' }, restricted: false },
  })
  expect(await c.sync('orders')).toEqual({ message: 'orders', restricted: false })
  expect(await refusalOf(client({ user: 'ban', password: 'secret' }))).toMatchObject({ code: 'CREDENTIALS_REFUSED' })
  await c.close()
  const told = () => lines.filter(({ fields }) => fields.handle === c.handle).map(({ message }) => message)
  await until('both lines', () => told().length === 2)
  expect(told()).toEqual(['open', 'close'])
})
