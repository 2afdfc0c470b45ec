/** The page that leads from the document to the tests names tests that there are. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')
const sources = [...readdirSync(new URL('test/adapters/', ROOT)).filter((name) => name.startsWith('connection-'))].map(
  (name) => read(`test/adapters/${name}`),
)
const tests = [...sources, read('test/contracts/connection.test.ts')].join('\n')

test('each test that docs/connection.md names is there', () => {
  const tables = read('docs/connection.md').split('## The document, and the tests')[1]?.split('\n## ')[0] ?? ''
  const rows = tables.split('\n').filter((line) => /^\| (?!---)/.test(line) && line.includes('`'))
  const named = rows.flatMap((row) => [...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name))
  expect(named.length).toBeGreaterThan(40)
  for (const name of named) expect(tests.includes(`'${name}'`), String(name)).toBe(true)
})
