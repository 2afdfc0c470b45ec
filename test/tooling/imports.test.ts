/**
 * The table of who may import whom (scripts/lint/rooms.mjs), shown to bite: each case is one file more in a copy of src.
 * The tree itself must pass.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = join(ROOT, 'scripts', 'imports.mjs')

const ROOM = /^src\/.* may not import that$/
const NODE = /may not import Node\.js' modules$/
const HOME = /has one home/
const CIRCLE = /^circle$/

const REFUSED: [sentence: string, folder: string, code: string, rule: RegExp][] = [
  ['a room importing the room above it', 'src/host/model', `import '../calls/hops.js'`, ROOM],
  ['the type of a room above', 'src/host/model', `import type { Hops } from '../calls/hops.js'`, ROOM],
  ['a room exporting from the room above it', 'src/host/calls', `export * from '../lanes/supervisor.js'`, ROOM],
  ['a room importing the room above it at run time', 'src/host/lanes', `await import('../plugins/registry.js')`, ROOM],
  ['a room importing what a server holds', 'src/host/calls', `import type { HookEngine } from '../api.js'`, ROOM],
  ['primitives importing what a call touches', 'src/host/primitives', `import '../model/call.js'`, ROOM],
  ['a runtime importing the chain', 'src/worker/runtimes', `import '../calls/chain.js'`, ROOM],
  ['a runtime importing another runtime', 'src/worker/runtimes/wasm', `import '../quickjs/index.js'`, ROOM],
  ['a thread importing a runtime', 'src/worker/thread', `import '../runtimes/runtime.js'`, ROOM],
  ['a command importing another command', 'src/cli/bench', `import '../check/report.js'`, ROOM],

  ['ring importing contracts', 'src/ring', `import '../contracts/errors.js'`, ROOM],
  ['ring importing Node.js', 'src/ring', `import 'node:fs'`, NODE],
  ['contracts importing ring', 'src/contracts', `import '../ring/layout.js'`, ROOM],
  ['contracts importing the front door', 'src/contracts', `import '../index.js'`, ROOM],
  ['contracts importing Node.js', 'src/contracts', `import 'node:util'`, NODE],
  ['the codec importing ring', 'src/contracts/codec', `import '../../ring/layout.js'`, ROOM],
  ['plugin importing worker', 'src/plugin', `import '../worker/calls/chain.js'`, ROOM],
  ['worker importing host', 'src/worker', `import '../host/engine.js'`, ROOM],
  ['worker importing the types of host', 'src/worker', `import type { HookEngine } from '../host/api.js'`, ROOM],
  ['a runtime importing host', 'src/worker/runtimes/quickjs', `import '../../../host/engine.js'`, ROOM],
  ['host importing worker', 'src/host', `import '../worker/lane-loop.js'`, ROOM],
  ['host importing plugin', 'src/host/sources', `import '../../plugin/index.js'`, ROOM],
  ['hooks importing host', 'src/hooks', `import '../host/engine.js'`, ROOM],
  ['an adapter importing host', 'src/adapters/aedes', `import '../../host/engine.js'`, ROOM],
  ['an adapter importing past a door', 'src/adapters/grpc', `import '../../contracts/errors.js'`, ROOM],
  ['an adapter importing another adapter', 'src/adapters/aedes', `import '../connection/index.js'`, ROOM],
  ['a command starting a server of another', 'src/cli/bench', `await import('../../adapters/exhook/index.js')`, ROOM],
  ['the command importing past a door', 'src/cli/bench', `import '../../contracts/errors.js'`, ROOM],
  ['testing importing worker', 'src/testing', `import '../worker/calls/chain.js'`, ROOM],
  ['an instrument importing a door', 'src/cli/measure', `import '../../index.js'`, ROOM],
  ['a folder that has no row', 'src/elsewhere', `import '../ring/layout.js'`, /this folder has no row/],
  ['a folder without a row in a building', 'src/host/elsewhere', `import '../api.js'`, /this folder has no row/],

  ['piscina outside of its home', 'src/host', `import 'piscina'`, HOME],
  ['the types of piscina', 'src/host', `import type { Piscina } from 'piscina'`, HOME],
  ['piscina at run time', 'src/host', `await import('piscina')`, HOME],
  ['a part of comlink', 'src/worker', `import 'comlink/dist/esm/node-adapter.mjs'`, HOME],
  ['QuickJS', 'src/worker/runtimes/quickjs', `await import('@jitl/quickjs-ng-wasmfile-release-sync')`, HOME],
  ['prom-client', 'src/host', `import 'prom-client'`, HOME],
  ['esbuild', 'src/worker', `import 'esbuild'`, HOME],
  ['koffi', 'src/worker/runtimes', `await import('koffi')`, HOME],
  ['ioredis', 'src/hooks/cluster', `await import('ioredis')`, HOME],
  ['MessagePack', 'src/hooks/redis', `await import('@msgpack/msgpack')`, HOME],
  ['rate-limiter-flexible', 'src/hooks/cluster', `import 'rate-limiter-flexible'`, HOME],
  ['gRPC', 'src/adapters/aedes', `import '@grpc/grpc-js'`, HOME],
  ['aedes', 'src/adapters/grpc', `import type { Aedes } from 'aedes'`, HOME],
  ['a package that the table does not have', 'src/host', `import 'fast-check'`, /has no home/],
]

let tree: string
let found: { from: string; to: string; rule: string }[]

beforeAll(() => {
  tree = mkdtempSync(join(tmpdir(), 'hookring-imports-'))
  cpSync(join(ROOT, 'src'), join(tree, 'src'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(tree, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'))
  REFUSED.forEach(([, folder, code], index) => {
    write(refusedFile(folder, index), code)
  })
  write('src/contracts/circle-one.ts', `import './circle-two.js'`)
  write('src/contracts/circle-two.ts', `import type { A } from './circle-one.js'\nexport type B = A`)
  write('src/host/model/circle-one.ts', `import './circle-two.js'`)
  write('src/host/model/circle-two.ts', `import type { A } from './circle-one.js'\nexport type B = A`)
  found = JSON.parse(spawnSync(process.execPath, [PROGRAM, '--json', tree], { encoding: 'utf8' }).stdout)
})

afterAll(() => rmSync(tree, { recursive: true, force: true }))

describe('the table refuses', () => {
  test.each(REFUSED.map(([sentence, folder, , rule], index) => ({ sentence, file: refusedFile(folder, index), rule })))(
    '$sentence',
    ({ file, rule }) => {
      expect(rulesBrokenBy(file)).toEqual(expect.arrayContaining([expect.stringMatching(rule)]))
    },
  )

  test('a circle, of types too', () => {
    expect(rulesBrokenBy('src/contracts/circle-one.ts')).toEqual([expect.stringMatching(CIRCLE)])
  })
})

test('the table allows a circle among the objects that a call touches', () => {
  expect(rulesBrokenBy('src/host/model/circle-one.ts')).toEqual([])
})

test('the tree keeps to the table, and nothing else of the copy is refused', () => {
  const { status, stdout } = spawnSync(process.execPath, [PROGRAM], { encoding: 'utf8' })
  expect(stdout).toMatch(/^imports that run up, or that no row allows: 0$/m)
  expect(status).toBe(0)
  expect(found.map(({ from }) => from).filter((from) => !/\/(?:case-\d+|circle-(?:one|two))\.ts$/.test(from))).toEqual(
    [],
  )
})

test('every package that the table names is one that the package may use', () => {
  const homes = readFileSync(join(ROOT, 'scripts', 'lint', 'rooms.mjs'), 'utf8').match(
    /export const HOMES = \{[^}]*\}/,
  )?.[0]
  const named = [...(homes ?? '').matchAll(/^ {2}'?([@a-z][^':]*)'?:/gm)].map(([, name]) => name)
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  expect(named.sort()).toEqual(Object.keys({ ...dependencies, ...peerDependencies }).sort())
})

function refusedFile(folder: string, index: number): string {
  return `${folder}/case-${index}.ts`
}

function write(file: string, code: string): void {
  mkdirSync(join(tree, dirname(file)), { recursive: true })
  writeFileSync(join(tree, file), `${code}\n`)
}

function rulesBrokenBy(file: string): string[] {
  return found.filter(({ from }) => from === file).map(({ rule }) => rule)
}
