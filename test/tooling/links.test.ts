/** scripts/links.mjs finds what leads nowhere, of every form, and README stays short. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from 'hookring'
import { afterEach, beforeEach, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { anchorsOf, brokenLinks } = (await import(new URL('../../scripts/links.mjs', import.meta.url).href)) as {
  anchorsOf(text: string): Set<string>
  brokenLinks(root: string): Promise<string[]>
}

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hookring-links-'))
  await write('package.json', '{ "files": ["docs", "!docs/draft.md"] }')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function write(name: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, name)), { recursive: true })
  await writeFile(join(folder, name), text)
}

test('the pages of this repository lead somewhere', async () => {
  expect(await brokenLinks(ROOT)).toEqual([])
})

test('links that lead nowhere are named, with page and line', async () => {
  await write('docs/draft.md', '# Draft')
  await write('docs/there.md', '# Heading one\n\n## `code` and more\n\n## Twice\n\n## Twice\n')
  await write('src.ts', '')
  await write(
    'README.md',
    [
      '[a](docs/there.md#heading-one) [b](docs/there.md#code-and-more) [c](docs/there.md#twice-1) [d](https://x.example/#y)',
      '[gone](docs/gone.md)',
      '![image](docs/gone.svg "title")',
      '[anchor](docs/there.md#nothing)',
      '[own](#nothing)',
      '[unpacked](src.ts)',
      '[unpacked, though in a packed folder](docs/draft.md)',
      '[out](../out.md)',
      '[by name][name]',
      '[name]: docs/gone.md',
      '`[code](docs/gone.md)` and `` [code](docs/gone.md) ` ``',
      '```md',
      '[block](docs/gone.md)',
      '```',
      '<!-- [comment](docs/gone.md) -->',
      '[last](docs/gone.md)',
    ].join('\n'),
  )
  expect(await brokenLinks(folder)).toEqual([
    'README.md:2: docs/gone.md: there is no such file',
    'README.md:3: docs/gone.svg: there is no such file',
    'README.md:4: docs/there.md#nothing: there is no such heading',
    'README.md:5: #nothing: there is no such heading',
    'README.md:6: src.ts: is not in the package',
    'README.md:7: docs/draft.md: is not in the package',
    'README.md:8: ../out.md: leads out of the repository',
    'README.md:10: docs/gone.md: there is no such file',
    'README.md:16: docs/gone.md: there is no such file',
  ])
})

test('anchors are those of code hosts', () => {
  expect([...anchorsOf('# A & B\n\n## EVENT_INVALID\n\n```sh\n# no heading\n```\n\n## What? (`x`)\n')]).toEqual([
    'a--b',
    'event_invalid',
    'what-x',
  ])
})

test('README is at most 12 KB', async () => {
  expect((await readFile(join(ROOT, 'README.md'))).length).toBeLessThanOrEqual(12 * 1024)
})

const PAGES = [
  'README.md',
  'ARCHITECTURE.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'docs/guide/operating.md',
  'docs/guide/untrusted.md',
]

test('every code of an error that the pages name exists', async () => {
  const codes = Object.keys(ERROR_CODES)
  const firstWords = new Set(codes.map((code) => code.split('_')[0]))
  for (const file of PAGES) {
    const text = await readFile(join(ROOT, file), 'utf8')
    for (const [, code] of text.matchAll(/`([A-Z]+_[A-Z_]+)`/g)) {
      const isCode = code !== 'ERROR_CODES' && firstWords.has((code as string).split('_')[0] as string)
      if (isCode) expect(codes, `${file} names ${code}`).toContain(code)
    }
  }
})

const SOURCE = /`((?:src|scripts|bench|test)\/[\w./-]+\.(?:ts|mjs|grit))`/g

test('every source file that the pages name exists', async () => {
  for (const file of PAGES) {
    const text = await readFile(join(ROOT, file), 'utf8')
    for (const [, source] of text.matchAll(SOURCE)) {
      await expect(readFile(join(ROOT, source as string)), `${file} names ${source}`).resolves.toBeDefined()
    }
  }
})

test('the first plugin of "Getting started" is that of the examples', async () => {
  const page = await readFile(join(ROOT, 'docs/guide/getting-started.md'), 'utf8')
  for (const file of ['plugins/max-payload.mjs', 'server.mjs']) {
    const code = await readFile(join(ROOT, 'examples/first-plugin', file), 'utf8')
    expect(page).toContain(`\n${code}\`\`\``)
  }
})
