/** The tables of docs/exhook.md that say what becomes of what: each row names its tests, and those are there. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

test('each test that the tables of docs/exhook.md name is there', () => {
  const page = read('docs/exhook.md')
  const tables = ['| request | allowed |', '| what the provider answers |'].map((head) => {
    const from = page.slice(page.indexOf(head))
    return from.slice(0, from.indexOf('\n\n'))
  })
  const named = tables.flatMap((table) =>
    table
      .split('\n')
      .slice(2)
      .flatMap((row) => [...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name))
      .filter((name) => name !== 'OnProviderLoaded'),
  )
  const folders = ['test/adapters/', 'test/runtimes/']
  const files = folders.flatMap((folder) =>
    readdirSync(new URL(folder, ROOT)).flatMap((name) => (/^exhook.*\.ts$/.test(name) ? [`${folder}${name}`] : [])),
  )
  const tests = files.map(read).join('\n')
  expect(named.length).toBeGreaterThan(10)
  for (const name of named) expect(tests.includes(`'${name}'`), String(name)).toBe(true)
})
