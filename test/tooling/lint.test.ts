/**
 * The linter's own rules, shown to bite: each case is one file in a copy of the configuration, and names what the
 * linter must say of it. The tree itself must pass.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BIOME = join(ROOT, 'node_modules', '.bin', 'biome')

const ZOD = /import its types only/
const MEMORY = /touched in src\/ring only/
const DETOUR = /without a detour/
const GETTER = /slow to use/

const REFUSED: [sentence: string, folder: string, code: string, message: RegExp][] = [
  ['a bench importing the source', 'bench/cases', `import '../../src/cli/measure/plot.js'`, /as its users do/],
  ['a specifier with a detour', 'src/host', `import '../contracts/../worker/lane.js'`, DETOUR],
  ['a specifier that starts with a detour', 'src/host', `import './../worker/lane.js'`, DETOUR],
  [
    'a type imported in passing',
    'src/host',
    `export type A = import('../worker/lane.js').Lane`,
    /import type statement/,
  ],
  ['require', 'src/host', `require('../worker/lane.js')`, /Use import/],
  [
    'host importing what it computes',
    'src/host',
    `await import(String(process.argv[2]))`,
    /Only the worker, the command and auth/,
  ],
  ['a test importing the source', 'test/host', `import '../../src/host/engine.js'`, /Test what ships/],
  ['an example importing dist', 'examples/demo', `import '../../dist/index.js'`, /as its users do/],

  ['zod at run time outside contracts', 'src/host', `import { z } from 'zod/v4'`, ZOD],
  ['zod handed on by plugin', 'src/plugin', `export { z } from 'zod/v4'`, ZOD],
  ['the zod that is zod 3 in 3.25', 'src/contracts', `import { z } from 'zod'`, /Import zod\/v4/],
  ['types of it', 'src/plugin', `import type { z } from 'zod'\nexport type A = z.ZodType`, /Import zod\/v4/],
  ['Atomics outside ring', 'src/worker', `Atomics.load(new Int32Array(1), 0)`, MEMORY],
  ['shared memory made outside ring', 'src/host', `export const memory = new SharedArrayBuffer(8)`, MEMORY],
  ['Atomics by way of globalThis', 'src/host', `export const { load } = globalThis.Atomics`, MEMORY],
  ['Atomics unpacked from globalThis', 'src/host', `export const { Atomics: a } = globalThis`, MEMORY],

  [
    'a getter in an object literal',
    'src/host',
    `export const of = (at: number) => ({ get at() { return at } })`,
    GETTER,
  ],

  ['a default export', 'src/host', `export default 1`, /default export/],
  ['an enum', 'src/ring', `export enum Colour { Red }`, /enum/],
  ['any', 'src/ring', `export type Anything = any`, /any/],
  ['console', 'src/worker', `console.log('here')`, /console/],
]

const ALLOWED: [sentence: string, file: string, code: string][] = [
  ['ring within ring', 'src/ring/host-ring.ts', `import './layout.js'\nAtomics.load(new Int32Array(1), 0)`],
  ['zod in contracts', 'src/contracts/options.ts', `import 'zod/v4'\nimport './errors.js'`],
  ['types of zod in plugin', 'src/plugin/index.ts', `import type { z } from 'zod/v4'\nexport type A = z.ZodType`],
  ['a plugin imported by the worker', 'src/worker/calls/loader.ts', `export const load = (url: string) => import(url)`],
  ['the type of shared memory', 'src/host/lanes.ts', `export const pass = (memory: SharedArrayBuffer) => memory`],
  ['a getter of a class', 'src/ring/queue.ts', `export class Queue {\n  get size() {\n    return 0\n  }\n}`],
  ['the URL of the worker', 'src/host/entry.ts', `export const url = new URL('../worker/entry.js', import.meta.url)`],
  ['a shipped plugin', 'src/hooks/noop.ts', `import 'zod/v4'\nimport '../plugin/index.js'\nexport default 1`],
  ['the instruments of the benches', 'bench/instruments.ts', `export * from '../src/cli/measure/plot.js'`],
]

interface Diagnostic {
  readonly message: string
  readonly location: { readonly path: string }
}

let tree: string
let found: Diagnostic[]

beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'hookring-lint-'))
  for (const path of ['biome.json', '.gitignore', join('scripts', 'lint')]) {
    cpSync(join(ROOT, path), join(tree, path), { recursive: true })
  }
  REFUSED.forEach(([, folder, code], index) => {
    write(refusedFile(folder, index), code)
  })
  for (const [, file, code] of ALLOWED) write(file, code)
  const { stdout } = spawnSync(BIOME, ['lint', '--reporter=json', '--max-diagnostics=none'], {
    cwd: tree,
    encoding: 'utf8',
  })
  found = JSON.parse(stdout).diagnostics
})

afterAll(() => rmSync(tree, { recursive: true, force: true }))

describe('the linter refuses', () => {
  test.each(
    REFUSED.map(([sentence, folder, , message], index) => ({ sentence, file: refusedFile(folder, index), message })),
  )('$sentence', ({ file, message }) => {
    expect(messagesOf(file)).toEqual(expect.arrayContaining([expect.stringMatching(message)]))
  })
})

describe('the linter allows', () => {
  test.each(ALLOWED.map(([sentence, file]) => ({ sentence, file })))('$sentence', ({ file }) => {
    expect(messagesOf(file)).toEqual([])
  })
})

test('the tree keeps the rules of its own', () => {
  const args = ['lint', '--only=plugin', '--only=style/noRestrictedImports', '--max-diagnostics=none']
  const { status, stdout, stderr } = spawnSync(BIOME, args, { cwd: ROOT, encoding: 'utf8' })
  expect(status, `${stdout}\n${stderr}`).toBe(0)
})

function refusedFile(folder: string, index: number): string {
  return `${folder}/case-${index}.ts`
}

function write(file: string, code: string): void {
  mkdirSync(join(tree, dirname(file)), { recursive: true })
  writeFileSync(join(tree, file), `${code}\n`)
}

function messagesOf(file: string): string[] {
  return found.filter(({ location }) => location.path === file).map(({ message }) => message)
}
