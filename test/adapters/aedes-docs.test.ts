/** The tables of docs/mqtt.md and docs/cluster.md: the tests that they name are there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

const FOLDERS = ['test/adapters/', 'test/hooks/', 'test/cli/', 'test/proof/', 'test/contracts/']
const FILES = FOLDERS.flatMap((folder) =>
  readdirSync(new URL(folder, ROOT)).flatMap((name) => (name.endsWith('.test.ts') ? [`${folder}${name}`] : [])),
)
/** As pages and tests write them: apostrophes differ. */
const plain = (text: string) => text.replaceAll('’', "'")
const SOURCES = new Map(FILES.map((path) => [path, plain(read(path))]))

/** The last cell of each row that names a test: in quotes, or by its file. */
const cellsOf = (page: string) =>
  page
    .split('\n')
    .filter((line) => /^\| (?!---)/.test(line))
    .map((line) => line.split('|').at(-2) ?? '')
    .filter((cell) => /"|aedes-\w|test\//.test(cell))

test.each(['docs/mqtt.md', 'docs/cluster.md'])('each test that %s names is there', (page) => {
  const cells = cellsOf(read(page))
  const names = cells.flatMap((cell) => [...cell.matchAll(/"([^"]+)"/g)].map(([, name]) => plain(name as string)))
  expect(names.length).toBeGreaterThan(15)
  for (const name of names) {
    const words = name.replace(/ ?\.\.\.$/, '')
    expect(
      [...SOURCES.values()].some((source) => source.includes(words)),
      name,
    ).toBe(true)
  }
  const files = cells.flatMap((cell) => [
    ...[...cell.matchAll(/\baedes-[\w-]+/g)].map(([name]) => `test/adapters/${name}.test.ts`),
    ...[...cell.matchAll(/test\/[\w/-]+\.test\.ts/g)].map(([path]) => path),
  ])
  for (const file of files) expect(existsSync(new URL(file, ROOT)), file).toBe(true)
})

test('the table of docs/mqtt.md has a row for each message of the protocol', () => {
  const page = read('docs/mqtt.md')
  const table = page.slice(page.indexOf('| message | allowed |')).split('\n\n')[0] ?? ''
  const messages = table.split('\n').map((row) => row.split('|')[1]?.trim() ?? '')
  const wanted = ['CONNECT', 'PUBLISH, QoS 0', 'PUBLISH, QoS 1', 'PUBLISH, QoS 2', 'PUBLISH with RETAIN', 'will']
  wanted.push(
    'SUBSCRIBE',
    'UNSUBSCRIBE, PINGREQ, DISCONNECT',
    'retained messages',
    'delivery to a clean session',
    'delivery of QoS 1 and 2',
  )
  wanted.push('PUBREL of a publisher, PUBACK')
  for (const name of wanted)
    expect(
      messages.some((message) => message.startsWith(name)),
      name,
    ).toBe(true)
})
