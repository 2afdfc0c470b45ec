/**
 * How plugins become bundles: what an untrusted one may be made of, what becomes of sources that never end, and that real
 * plugins still load. The processes are the real ones.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as contracts from 'hookring/contracts'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createPluginSources, type SourceNeeds } from '../../../dist/host/sources/locate.js'
import { canaryTree, REACHES } from '../../support/canary-tree.js'
import { refusalOf } from '../../support/lab.js'

const GUEST = { runtime: 'quickjs', boundary: 'thread', trust: 'untrusted' } as const
const APART = { runtime: 'module', boundary: 'process', trust: 'untrusted' } as const
const IN_PLACE = { runtime: 'module', boundary: 'thread' } as const

const sources = createPluginSources()
const tree = canaryTree()
afterAll(async () => {
  await sources.close()
  tree.remove()
})

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'hookring-sources-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Writes the files and gives the path of the first. */
function files(contents: Readonly<Record<string, string>>): string {
  for (const [name, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return join(folder, Object.keys(contents)[0] as string)
}

async function bundled(from: string, needs: SourceNeeds, by = sources): Promise<string> {
  return readFileSync(new URL(await by.locate(from, needs)), 'utf8')
}

/** All that is told of a plugin: the bundle, or everything that hangs off the error. */
async function told(from: string, needs: SourceNeeds, by = sources): Promise<string> {
  try {
    return await bundled(from, needs, by)
  } catch (error) {
    const { message, stack, cause } = error as Error
    const { errors } = (cause ?? {}) as { errors?: unknown }
    return [message, stack, String(cause), JSON.stringify(errors)].join('\n')
  }
}

const sri = (text: string) => `sha384-${createHash('sha384').update(text).digest('base64')}`

describe('an untrusted plugin that imports', () => {
  test.each(Object.entries(REACHES))('%s gets nothing from outside its folders', async (_, statement) => {
    tree.write('main.ts', `${statement}\nexport default x`)
    for (const needs of [GUEST, APART]) {
      const text = await told(tree.entry, needs)
      expect(tree.holdsCanary(text), text.slice(0, 1000)).toBe(false)
      expect(text).not.toMatch(/root:x:|PATH=/)
    }
  })

  test('has no more of it where there is no bubblewrap', async () => {
    const path = process.env.PATH
    // prlimit and setpriv stand beside it, in most systems; what is left is our resolver.
    process.env.PATH = ''
    const bare = createPluginSources()
    try {
      for (const [name, statement] of Object.entries(REACHES)) {
        tree.write('main.ts', `${statement}\nexport default x`)
        const text = await told(tree.entry, GUEST, bare)
        expect(tree.holdsCanary(text), `${name}: ${text.slice(0, 1000)}`).toBe(false)
      }
    } finally {
      process.env.PATH = path
      await bare.close()
    }
  })

  test('goes without tools that do not work here', async () => {
    const path = process.env.PATH
    const tools = files({ bwrap: '#!/bin/sh\necho "bwrap: no namespaces here" >&2\nexit 1\n' })
    chmodSync(tools, 0o755)
    process.env.PATH = folder
    const bare = createPluginSources()
    try {
      expect(await bundled(files({ 'main.mjs': 'export default "it runs"' }), GUEST, bare)).toContain('it runs')
    } finally {
      process.env.PATH = path
      await bare.close()
    }
  })

  test('is told what it may not, in the words that it wrote', async () => {
    const from = files({
      'main.ts': `import './lib/a.ts'`,
      'lib/a.ts': `import x from '../../x.js'\nexport const a = x`,
    })
    const { code, message } = await refusalOf(sources.locate(from, GUEST))
    expect(code).toBe('PLUGIN_IMPORT_FAILED')
    expect(message).toBe(
      `plugin ${from}: main.ts -> lib/a.ts imports ../../x.js, which leads out of the folders that the plugin may be read from`,
    )
  })

  test('a package that is not installed is told which, and by whom', async () => {
    const from = files({ 'main.mjs': `import './lib/b.mjs'`, 'lib/b.mjs': `import 'no-such-package'` })
    const { message } = await refusalOf(sources.locate(from, GUEST))
    expect(message).toContain('main.mjs -> lib/b.mjs imports no-such-package, which is not installed')
  })

  test('a package that may be missing goes without it', async () => {
    const from = files({
      'main.mjs': `const own = await import('no-such-package').catch(({ code }) => code); export default own`,
    })
    expect(await bundled(from, GUEST)).toContain(`Cannot find package 'no-such-package'`)
  })

  test('its own lines that do not parse is shown them, and no others', async () => {
    const from = files({ 'main.ts': 'export default {\n  oops', 'package.json': '{}' })
    const error = await refusalOf(sources.locate(from, APART))
    expect(error.message).toMatch(/does not compile: main\.ts:2:\d+: /)
    expect(error.cause).toMatchObject({ errors: [{ location: { file: 'main.ts', line: 2, lineText: '  oops' } }] })
  })

  test('a package above it that does not parse is told where that is, and not its lines', async () => {
    const from = files({
      'plugin/main.mjs': `import 'broken'`,
      'plugin/package.json': '{}',
      'node_modules/broken/index.js': 'let SECRET = = 1',
    })
    const text = await told(from, GUEST)
    expect(text).toContain('broken/index.js:1:13: it does not parse')
    expect(text).not.toContain('SECRET')
  })

  test('is not told where it is', async () => {
    const from = files({ 'main.mjs': 'export default [import.meta.url, import.meta.filename, import.meta.dirname]' })
    for (const needs of [GUEST, APART]) {
      const text = await bundled(from, needs)
      expect(text).toContain('"file:///main.mjs", "/main.mjs", "/"')
      expect(text).not.toContain(folder)
    }
  })
})

describe('a trusted plugin', () => {
  test('is resolved as esbuild does it: tsconfig.json, patterns, files above', async () => {
    const from = files({
      'plugin/main.ts': `import above from '../above.json'\nimport alias from 'alias'\nexport default (n: string) => [above, alias, import('./' + n + '.js')]`,
      'plugin/one.js': 'export default "one"',
      'plugin/package.json': '{}',
      'plugin/tsconfig.json': '{"compilerOptions":{"paths":{"alias":["../alias.ts"]}}}',
      'above.json': '{"said":"above"}',
      'alias.ts': 'export default "alias"',
    })
    for (const needs of [GUEST, APART]) {
      const text = await bundled(from, { ...needs, trust: 'trusted' })
      for (const said of ['"above"', '"alias"', '"one"']) expect(text).toContain(said)
    }
  })
})

describe('sources without an end', () => {
  const later = async () => bundled(files({ 'later.mjs': 'export default "later"' }), GUEST)

  test.each([
    ['brackets in a source', { 'main.mjs': '['.repeat(6_000_000) }],
    ['brackets in JSON', { 'main.mjs': `import './deep.json'`, 'deep.json': '['.repeat(6_000_000) }],
    ['calls in a source', { 'main.mjs': `${'f('.repeat(2_000_000)}${')'.repeat(2_000_000)}` }],
  ])('%s end that bundle, and no later one', { timeout: 60_000 }, async (_, contents) => {
    const error = await refusalOf(sources.locate(files(contents), GUEST))
    expect(error).toMatchObject({ code: expect.stringMatching(/^PLUGIN_BUNDLE_(?:TOO_LARGE|TIMEOUT)$/) })
    expect(await later()).toContain('"later"')
  })

  test.each([
    ['brackets in package.json', { main: 'x.js' }, `,"a":${'['.repeat(900_000)}`, /package\.json is not JSON/],
    ['conditions in package.json', {}, `,"exports":${'['.repeat(99)}"./x.js"${']'.repeat(99)}`, /nests its conditions/],
    ['a package.json that is too large', {}, `,"a":"${'x'.repeat(1_100_000)}"`, /package\.json is too large/],
  ])('%s are refused', async (_, manifest, more, says) => {
    const from = files({
      'main.mjs': `import 'p'`,
      'node_modules/p/package.json': JSON.stringify(manifest).replace('}', `${more}}`).replace('{,', '{'),
    })
    expect(await told(from, GUEST)).toMatch(says)
    expect(await later()).toContain('"later"')
  })

  test('more of them than may be read are refused', { timeout: 60_000 }, async () => {
    const large = `/*${'x'.repeat(12 * 1024 * 1024)}*/`
    const from = files({
      'main.mjs': `import './a.js'; import './b.js'; import './c.js'`,
      'a.js': large,
      'b.js': large,
      'c.js': large,
    })
    const error = await refusalOf(sources.locate(from, GUEST))
    expect(error).toMatchObject({ code: 'PLUGIN_BUNDLE_TOO_LARGE', message: expect.stringContaining('32 MiB') })
  })
})

describe('an engine that is closed', () => {
  test('ends the bundles that are being made', async () => {
    const closing = createPluginSources()
    const from = files({ 'main.mjs': `export default [${'1,'.repeat(4_000_000)}]` })
    const refused = refusalOf(closing.locate(from, GUEST))
    await closing.close()
    expect(await refused).toMatchObject({ code: 'ENGINE_CLOSED' })
    expect(await refusalOf(closing.locate(from, GUEST))).toMatchObject({ code: 'ENGINE_CLOSED' })
  })
})

test('a package whose package.json is a pipe does not stop the server', async () => {
  const folderOfPackage = join(process.cwd(), 'node_modules', `hookring-piped-${process.pid}`)
  mkdirSync(folderOfPackage)
  try {
    spawnSync('mkfifo', [join(folderOfPackage, 'package.json')])
    const refused = await refusalOf(sources.locate(`hookring-piped-${process.pid}`, GUEST))
    expect(refused).toMatchObject({ code: 'PLUGIN_NOT_FOUND', message: expect.stringContaining('no package.json') })
  } finally {
    rmSync(folderOfPackage, { recursive: true })
  }
})

describe('real plugins', () => {
  test('in a workspace take the packages beside them where the operator says so', async () => {
    const from = files({
      'packages/plugin/main.ts': `import { said } from '@acme/shared'\nexport default said`,
      'packages/plugin/package.json': '{"name":"plugin","dependencies":{"@acme/shared":"*"}}',
      'packages/shared/package.json': '{"name":"@acme/shared","type":"module","exports":"./index.ts"}',
      'packages/shared/index.ts': `import 'installed'\nexport const said: string = 'shared'`,
      'node_modules/installed/package.json': '{"name":"installed","main":"./lib"}',
      'node_modules/installed/lib/index.js': 'module.exports = "installed"',
    })
    mkdirSync(join(folder, 'node_modules/@acme'))
    symlinkSync('../../packages/shared', join(folder, 'node_modules/@acme/shared'))
    const refused = await refusalOf(sources.locate(from, GUEST))
    expect(refused.message).toMatch(/imports @acme\/shared, which is a symbolic link .* sourceRoots/)
    const text = await bundled(from, { ...GUEST, sourceRoots: [join(folder, 'packages')] })
    expect(text).toContain('"shared"')
    expect(text).toContain('"installed"')
  })

  test('whose folder has been replaced since the last time is read where it stands now', async () => {
    for (const text of ['"first"', '"second"', '"third"']) {
      rmSync(folder, { recursive: true, force: true })
      expect(await bundled(files({ 'main.mjs': `export default ${text}`, 'package.json': '{}' }), GUEST)).toContain(
        text,
      )
    }
  })

  test('with sourceRoots that are no folders are refused', async () => {
    const from = files({ 'main.mjs': '' })
    const refused = refusalOf(sources.locate(from, { ...GUEST, sourceRoots: ['./not-there'] }))
    expect(await refused).toMatchObject({ code: 'OPTIONS_INVALID', path: expect.arrayContaining(['sourceRoots']) })
  })

  test('installed by links into a store of packages are found', async () => {
    const from = files({
      'node_modules/.pnpm/plugin@1.0.0/node_modules/plugin/index.js': `import 'needed'`,
      'node_modules/.pnpm/plugin@1.0.0/node_modules/plugin/package.json': '{"name":"plugin","type":"module"}',
      'node_modules/.pnpm/needed@1.0.0/node_modules/needed/index.js': 'globalThis.needed = "needed"',
      'node_modules/.pnpm/needed@1.0.0/node_modules/needed/package.json': '{"name":"needed"}',
    })
    symlinkSync('../../needed@1.0.0/node_modules/needed', join(dirname(dirname(from)), 'needed'))
    symlinkSync('.pnpm/plugin@1.0.0/node_modules/plugin', join(folder, 'node_modules/plugin'))
    expect(await bundled(join(folder, 'node_modules/plugin/index.js'), GUEST)).toContain('"needed"')
  })

  test('with many dependencies, of every kind of package, load', async () => {
    const kinds = [
      (n: number) => [`{"name":"d${n}","main":"main"}`, 'main.js', `exports.n = ${n}`],
      (n: number) => [
        `{"name":"d${n}","type":"module","exports":{"import":"./m.js"}}`,
        'm.js',
        `export const n = ${n}`,
      ],
      (n: number) => [`{"name":"d${n}","module":"m.mjs","main":"no.js"}`, 'm.mjs', `export const n = ${n}`],
      (n: number) => [`{"name":"d${n}","browser":"b.js","main":"no.js"}`, 'b.js', `export const n = ${n}`],
      (n: number) => [`{"name":"d${n}","exports":{".":{"browser":{"default":"./b.js"}}}}`, 'b.js', `exports.n = ${n}`],
    ] as const
    const count = 50
    const contents: Record<string, string> = {
      'main.mjs': `${Array.from({ length: count }, (_, n) => `import { n as n${n} } from 'd${n}'`).join('\n')}
import data from './data.json' with { type: 'json' }
export default [data.list, ${Array.from({ length: count }, (_, n) => `n${n}`).join()}]`,
      'data.json': '{"list":["from JSON"]}',
    }
    for (let n = 0; n < count; n += 1) {
      const [manifest, name, text] = (kinds[n % kinds.length] as (typeof kinds)[number])(n) as [string, string, string]
      contents[`node_modules/d${n}/package.json`] = manifest
      contents[`node_modules/d${n}/${name}`] = text
    }
    const url = await sources.locate(files(contents), GUEST)
    const { default: given } = (await import(url)) as { default: unknown[] }
    expect(given).toEqual([['from JSON'], ...Array.from({ length: count }, (_, n) => n)])
  })

  test('take CommonJS in as Node.js does', async () => {
    const from = files({
      'main.js': `import made from 'made'; export default made`,
      'package.json': '{"type":"module"}',
      'node_modules/made/package.json': '{"name":"made"}',
      'node_modules/made/index.js': `exports.__esModule = true; exports.default = 'default'; exports.other = 1`,
    })
    const { default: given } = (await import(await sources.locate(from, GUEST))) as { default: unknown }
    expect(given).toMatchObject({ default: 'default', other: 1 })
  })
})

describe('a contract that ships', () => {
  const isContract = (value: unknown): value is contracts.Contract =>
    typeof value === 'object' && value !== null && 'hookpoints' in value
  const names = Object.entries(contracts as Record<string, unknown>).flatMap(([name, value]) =>
    isContract(value) ? [[name, value] as const] : [],
  )

  // One that its file is not named for there brings zod, which takes a guest ten times as long to load as all the rest.
  test.each(names)('reaches a guest without its schemas: %s', async (name, { id, hookpoints }) => {
    const from = files({ 'main.mjs': `import { ${name} as it } from 'hookring/contracts'; export default it` })
    const url = await sources.locate(from, GUEST)
    expect(readFileSync(new URL(url)).length).toBeLessThan(16 * 1024)
    const { default: given } = (await import(url)) as { default: contracts.Contract }
    expect(given.id).toBe(id)
    expect(Object.keys(given.hookpoints)).toEqual(Object.keys(hookpoints))
  })
})

describe('a pinned plugin', () => {
  const NEIGHBOURS = {
    'node_modules/zod/package.json': '{"name":"zod","type":"module","exports":"./index.js"}',
    'node_modules/zod/index.js': 'export const z = "NEIGHBOUR"',
    'node_modules/hookring/package.json': '{"name":"hookring","type":"module","exports":{"./plugin":"./index.js"}}',
    'node_modules/hookring/index.js': 'export const definePlugin = "NEIGHBOUR"',
    'tsconfig.json': '{"compilerOptions":{"baseUrl":".","paths":{"*":["./other.ts"],"zod":["./other.ts"]}}}',
    'package.json':
      '{"name":"self","type":"module","exports":"./other.ts","browser":{"zod":"./other.ts","path":"./other.ts"}}',
    'other.ts': 'export default "NEIGHBOUR"; export const z = "NEIGHBOUR"',
    'other.json': '{"said":"NEIGHBOUR"}',
  }
  const RUNS: readonly SourceNeeds[] = [
    GUEST,
    { ...GUEST, trust: 'trusted' },
    { ...GUEST, runtime: 'compartment', trust: 'trusted' },
    APART,
    { ...APART, trust: 'trusted' },
    IN_PLACE,
  ]

  test.each([
    ['zod', `import { z } from 'zod'; export default z`],
    ['hookring', `import { definePlugin } from 'hookring/plugin'; export default definePlugin`],
    ['a neighbour', `import x from './other.ts'; export default x`],
    ['a name that tsconfig.json maps', `import x from 'mapped'; export default x`],
    ['its own name', `import x from 'self'; export default x`],
    ['a module that package.json maps', `import x from 'path'; export default x`],
    ['a pattern', `export default (n) => import('./' + n + '.json')`],
    ['a pattern for require', `export default (n) => require(\`./\${n}.json\`)`],
  ])('that imports %s gets nothing of what lies beside it, in any runtime', { timeout: 60_000 }, async (_, text) => {
    const from = files({ 'main.ts': text, ...NEIGHBOURS })
    for (const needs of RUNS) {
      const said = await told(from, { ...needs, integrity: sri(text) })
      expect(said, JSON.stringify(needs)).not.toContain('NEIGHBOUR')
      expect(said).not.toContain(`${folder}/node_modules`)
    }
  })

  test('has the modules of Node.js where its runtime has them', async () => {
    const text = `import { sep } from 'path'; import { platform } from 'node:os'; export default sep + platform()`
    const from = files({ 'main.mjs': text })
    for (const needs of [APART, IN_PLACE])
      expect(await bundled(from, { ...needs, integrity: sri(text) })).toMatch(/from "path"/)
  })

  test('that is a binary is copied as it was checked, however long it is', async () => {
    const bytes = Buffer.alloc(5 * 1024 * 1024 + 7, 'wasm')
    const from = files({ 'large.wasm': bytes.toString() })
    const needs = { runtime: 'wasm', boundary: 'thread' } as const
    const url = await sources.locate(from, { ...needs, integrity: sri(bytes.toString()) })
    expect(readFileSync(new URL(url)).equals(bytes)).toBe(true)
    expect(await refusalOf(sources.locate(from, { ...needs, integrity: sri('other') }))).toMatchObject({
      code: 'INTEGRITY_MISMATCH',
      path: ['integrity'],
      message: expect.stringContaining(sri(bytes.toString())),
    })
  })
})
