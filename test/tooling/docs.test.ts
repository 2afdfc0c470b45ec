/** What the pages name is there: the tests of the tables in docs/, and the files of ARCHITECTURE.md. */
import { existsSync, readdirSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const named = new Map<string, string>()
for (const folder of ['test/adapters', 'test/hooks', 'test/contracts', 'test/cli']) {
  for (const file of await readdir(join(ROOT, folder))) {
    if (file.endsWith('.test.ts')) named.set(`${folder}/${file}`, await readFile(join(ROOT, folder, file), 'utf8'))
  }
}
const titles = [...named.values()].flatMap((text) =>
  // `it('title'`, and `it.each([...])('title'`, over however many lines.
  [...text.matchAll(/(?:\b(?:test|it|describe)(?:\.\w+(?:\([^\n]*?\))?)?|\](?: as const)?\))\(\s*(['"`])(.*?)\1/g)].map(
    ([, , title]) => title as string,
  ),
)
const plain = (text: string) => text.replaceAll('’', "'")

test.each(['mqtt.md', 'cluster.md'])('docs/%s names tests that there are', async (name) => {
  const text = await readFile(join(ROOT, 'docs', name), 'utf8')
  const cells = text.split('\n').flatMap((line) => (line.startsWith('|') ? [line.split('|').at(-2) ?? ''] : []))
  const problems: string[] = []
  let count = 0
  for (const cell of cells) {
    for (const [, file] of cell.matchAll(/`(test\/\S+\.test\.ts)`/g)) {
      count += 1
      if (!existsSync(join(ROOT, file as string))) problems.push(`no file ${file}`)
    }
    for (const [, file] of cell.matchAll(/\b(aedes-[a-z]+(?:-[a-z]+)*)\b/g)) {
      count += 1
      if (!named.has(`test/adapters/${file}.test.ts`)) problems.push(`no file ${file}`)
    }
    for (const [, quoted] of cell.matchAll(/"([^"]+)"/g)) {
      count += 1
      const part = plain((quoted as string).replace(/ \.\.\.$/, ''))
      if (!titles.some((title) => plain(title).includes(part))) problems.push(`no test "${quoted}"`)
    }
    for (const [, groups] of cell.matchAll(/aedes-effects: (on\w+(?:, on\w+)*|\w+Retained)/g)) {
      for (const group of (groups as string).split(', ')) {
        count += 1
        if (!titles.some((title) => title.split(', ').includes(group)))
          problems.push(`no group ${group} in aedes-effects`)
      }
    }
  }
  expect(problems).toEqual([])
  expect(count).toBeGreaterThan(20)
})

test('ARCHITECTURE.md is at most 20 KB', async () => {
  expect((await readFile(join(ROOT, 'ARCHITECTURE.md'))).length).toBeLessThanOrEqual(20 * 1024)
})

test.each(['ARCHITECTURE.md', 'CONTRIBUTING.md'])('%s names files and rooms that there are', async (page) => {
  const text = await readFile(join(ROOT, page), 'utf8')
  const files = ['src', 'test', 'scripts'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) => `/${folder}/${path}`),
  )
  files.push(...readdirSync(ROOT).map((file) => `/${file}`))
  const missing = [...text.matchAll(/`([\w./-]+\/|[\w./-]+\.(?:ts|mjs))`/g)]
    .map(([, name]) => name as string)
    .filter((name) => !files.some((file) => `${file}/`.endsWith(`/${name.replace(/\/$/, '')}/`)))
  expect(missing).toEqual([])
})
