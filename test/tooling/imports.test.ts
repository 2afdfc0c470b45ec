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

const DIRECTION = /must not import that/
const HOME = /has one home/
const ZOD = /import its types only/
const MEMORY = /touched in src\/ring only/
const DETOUR = /without a detour/
const GETTER = /slow to use/

const REFUSED: [sentence: string, folder: string, code: string, message: RegExp][] = [
  ['ring importing contracts', 'src/ring', `import '../contracts/errors.js'`, DIRECTION],
  ['ring importing a package', 'src/ring', `import 'zod'`, DIRECTION],
  ['ring importing Node.js', 'src/ring', `import 'node:fs'`, DIRECTION],
  ['contracts importing ring', 'src/contracts', `import '../ring/layout.js'`, DIRECTION],
  ['contracts importing the front door', 'src/contracts', `import '../index.js'`, DIRECTION],
  ['contracts importing Node.js', 'src/contracts', `import 'node:util'`, DIRECTION],
  ['the codec importing ring', 'src/contracts/codec', `import '../../ring/layout.js'`, DIRECTION],
  ['plugin importing worker', 'src/plugin', `import '../worker/chain.js'`, DIRECTION],
  ['plugin importing a package', 'src/plugin', `import 'pino'`, DIRECTION],
  ['worker importing host', 'src/worker', `import '../host/engine.js'`, DIRECTION],
  ['worker importing the types of host', 'src/worker', `import type { Engine } from '../host/engine.js'`, DIRECTION],
  ['worker exporting from host', 'src/worker', `export * from '../host/engine.js'`, DIRECTION],
  ['worker importing host at run time', 'src/worker', `await import('../host/engine.js')`, DIRECTION],
  ['a runtime importing host', 'src/worker/runtimes', `import '../../host/engine.js'`, DIRECTION],
  ['the C ABI importing host', 'src/worker/runtimes/c-abi', `import '../../../host/engine.js'`, DIRECTION],
  ['the C ABI importing a package', 'src/worker/runtimes/c-abi', `import 'pino'`, DIRECTION],
  ['a part of a runtime that speaks no gRPC', 'src/worker/runtimes/exhook', `await import('@grpc/grpc-js')`, DIRECTION],
  ['host importing worker', 'src/host', `import '../worker/lane.js'`, DIRECTION],
  ['host importing plugin', 'src/host', `import '../plugin/index.js'`, DIRECTION],
  ['hooks importing host', 'src/hooks', `import '../host/engine.js'`, DIRECTION],
  ['a part of a hook importing host', 'src/hooks/redis', `import '../../host/engine.js'`, DIRECTION],
  ['a part of a hook importing the server', 'src/hooks/cluster', `import 'aedes'`, DIRECTION],
  ['adapters importing host', 'src/adapters', `import '../host/engine.js'`, DIRECTION],
  ['adapters importing past a door', 'src/adapters', `import '../contracts/errors.js'`, DIRECTION],
  ['a nested adapter importing past a door', 'src/adapters/grpc', `import '../../contracts/errors.js'`, DIRECTION],
  ['an adapter importing the server of another', 'src/adapters/grpc', `import type { Aedes } from 'aedes'`, DIRECTION],
  ['the gRPC adapter reading .proto files', 'src/adapters/grpc', `import '@grpc/proto-loader'`, DIRECTION],
  [
    'a command starting a server of another',
    'src/cli/bench',
    `await import('../../adapters/exhook/index.js')`,
    DIRECTION,
  ],
  ['an adapter importing what another adapts', 'src/adapters/grpc', `import '@msgpack/msgpack'`, DIRECTION],
  ['testing importing worker', 'src/testing', `import '../worker/chain.js'`, DIRECTION],
  ['the command importing host', 'src/cli', `import '../host/engine.js'`, DIRECTION],
  ['the command importing past a door', 'src/cli/bench', `import '../../contracts/errors.js'`, DIRECTION],
  ['an instrument importing a door', 'src/cli/measure', `import '../index.js'`, DIRECTION],
  ['an instrument importing the command', 'src/cli/measure', `import '../common/errors.js'`, DIRECTION],
  ['a bench importing the source', 'bench/cases', `import '../../src/cli/measure/plot.js'`, /as its users do/],
  ['a folder that has no row', 'src/elsewhere', `import 'node:fs'`, DIRECTION],
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

  ['piscina outside lane-threads', 'src/host', `import 'piscina'`, HOME],
  ['the types of piscina outside lane-threads', 'src/host', `import type { Piscina } from 'piscina'`, HOME],
  ['piscina at run time', 'src/host', `await import('piscina')`, HOME],
  ['comlink outside control', 'src/worker', `import 'comlink/dist/esm/node-adapter.mjs'`, HOME],
  ['QuickJS outside its machine', 'src/worker/runtimes/quickjs', `await import('@jitl/quickjs-ng')`, HOME],
  ['a part of a runtime importing host', 'src/worker/runtimes/quickjs', `import '../../../host/engine.js'`, DIRECTION],
  ['prom-client outside metrics', 'src/host', `import 'prom-client'`, HOME],
  ['esbuild outside the loaders of TypeScript', 'src/worker', `import 'esbuild'`, HOME],
  ['koffi outside its runtime', 'src/worker/runtimes', `await import('koffi')`, HOME],
  ['ioredis outside its connection', 'src/hooks/cluster', `await import('ioredis')`, HOME],
  ['the types of ioredis outside its connection', 'src/hooks/redis', `import type { Redis } from 'ioredis'`, HOME],
  ['MessagePack outside the wire', 'src/hooks/redis', `await import('@msgpack/msgpack')`, HOME],
  ['rate-limiter-flexible outside its home', 'src/hooks/cluster', `import 'rate-limiter-flexible'`, HOME],
  ['import-meta-resolve outside the finder of plugins', 'src/host', `import 'import-meta-resolve'`, HOME],
  ['zod at run time outside contracts', 'src/host', `import { z } from 'zod'`, ZOD],
  ['zod handed on by plugin', 'src/plugin', `export { z } from 'zod'`, ZOD],
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
  ['the front door', 'src/index.ts', `export * from './host/engine.js'\nexport * from './contracts/errors.js'`],
  ['ring within ring', 'src/ring/host-ring.ts', `import './layout.js'\nAtomics.load(new Int32Array(1), 0)`],
  ['zod in contracts', 'src/contracts/options.ts', `import 'zod'\nimport './errors.js'`],
  ['the codec', 'src/contracts/codec/compile.ts', `import 'zod'\nimport '../errors.js'\nimport './plan.js'`],
  ['types of zod in plugin', 'src/plugin/index.ts', `import type { z } from 'zod'\nexport type A = z.ZodType`],
  [
    'the lane',
    'src/worker/lane-loop.ts',
    `import 'node:fs'\nimport '../contracts/errors.js'\nimport '../ring/layout.js'`,
  ],
  ['a runtime', 'src/worker/runtimes/module.ts', `import '../../contracts/errors.js'\nimport '../chain.js'`],
  [
    'QuickJS in its machine',
    'src/worker/runtimes/quickjs/machine.ts',
    `import '../../call-context.js'\nimport '../runtime.js'\nawait import('@jitl/quickjs-ng')`,
  ],
  ['gRPC in the lane', 'src/worker/runtimes/exhook/connection.ts', `await import('@grpc/grpc-js')\nimport './wire.js'`],
  ['a plugin imported by the worker', 'src/worker/calls/loader.ts', `export const load = (url: string) => import(url)`],
  ['comlink in control', 'src/host/lanes/lane-link.ts', `import 'comlink'`],
  ['piscina in lane-threads', 'src/host/lanes/lane-threads.ts', `import 'piscina'\nimport 'node:worker_threads'`],
  ['prom-client in metrics', 'src/host/telemetry/metrics.ts', `import 'prom-client'`],
  [
    'esbuild where plugins are read',
    'src/host/sources/locate.ts',
    `import 'import-meta-resolve'\nawait import('esbuild')`,
  ],
  ['the type of shared memory', 'src/host/lanes.ts', `export const pass = (memory: SharedArrayBuffer) => memory`],
  ['a getter of a class', 'src/ring/queue.ts', `export class Queue {\n  get size() {\n    return 0\n  }\n}`],
  ['the URL of the worker', 'src/host/entry.ts', `export const url = new URL('../worker/entry.js', import.meta.url)`],
  [
    'Redis in its connection',
    'src/hooks/redis/connection.ts',
    `import '../../contracts/errors.js'\nawait import('ioredis')`,
  ],
  ['MessagePack in the wire', 'src/hooks/redis/wire.ts', `await import('@msgpack/msgpack')`],
  ['a rate of all nodes', 'src/hooks/redis/rate.ts', `import './connection.js'\nawait import('rate-limiter-flexible')`],
  ['a shipped plugin', 'src/hooks/noop.ts', `import 'zod'\nimport '../plugin/index.js'\nexport default 1`],
  [
    'an adapter',
    'src/adapters/grpc/index.ts',
    `import '@grpc/grpc-js'\nimport '../../contracts/index.js'\nimport '../../index.js'`,
  ],
  [
    'the ExHook provider',
    'src/adapters/exhook/provider.ts',
    `import '@grpc/proto-loader'\nimport '../grpc/status.js'\nimport '../../contracts/index.js'`,
  ],
  ['the command of ExHook', 'src/cli/exhook/command.ts', `await import('../../adapters/exhook/index.js')`],
  [
    'the adapter of connections',
    'src/adapters/connection/body.ts',
    `import '@msgpack/msgpack'\nimport '../../plugin/index.js'\nimport 'node:net'`,
  ],
  ['the command', 'src/cli/bench/command.ts', `import 'commander'\nimport '../../index.js'\nimport './run.js'`],
  ['a contender', 'src/cli/measure/contenders/inline.ts', `import '../subject.js'\nimport './question.js'`],
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

test('the tree keeps its own import directions and homes', () => {
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
