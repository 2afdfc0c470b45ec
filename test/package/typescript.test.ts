/**
 * What a user's TypeScript makes of the package: the oldest version that can read its declarations and the newest, and what an
 * editor shows of them. From the packed tarball; needs a package registry.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { install, lend, node, packed, STRICT_FLAGS, write } from '../support/tarball.js'

const CONSUMER = `
import { createHookEngine, type HookEngine } from 'hookring'
import { bytes, defineContract, gate, transform, u32 } from 'hookring/contracts'
import { acl } from 'hookring/hooks'
import { definePlugin, reject, replace } from 'hookring/plugin'
import { fakeEngine, runInline } from 'hookring/testing'
import { z } from 'zod'
const shop = defineContract('shop', 1, {
  onOrder: gate(z.object({ id: bytes(16), cents: u32() })),
  onNote: transform(z.strictObject({ text: z.string(), at: z.object({ ms: z.number() }), more: z.string().optional() })),
})
const plugin = definePlugin(shop, {
  name: 'p',
  config: z.object({ most: z.number() }),
  setup: ({ config }) => ({
    onOrder: ({ cents }) => (cents > config.most ? reject('too dear') : undefined),
    onNote: (event) => replace({ ...event, text: event.text.trim(), at: { ...event.at, ms: 1 } }),
  }),
})
const { hooks, close } = await runInline(plugin, { contract: shop, config: { most: 1 } })
const verdict = await hooks.onNote({ text: ' x ', at: { ms: 0 } })
await close()
console.log(JSON.stringify(verdict.kind === 'replace' ? verdict.event : verdict))
export const engine: () => Promise<HookEngine<typeof shop.hookpoints>> = () => createHookEngine({ contract: shop })
export const others = [acl({ denyByDefault: true }), fakeEngine(shop)]
`

/** Prints the public types whose properties have no docstring. */
const UNDOCUMENTED = `
import { readFileSync } from 'node:fs'
import ts from 'typescript'
const manifest = JSON.parse(readFileSync('node_modules/hookring/package.json', 'utf8'))
const doors = Object.entries(manifest.exports).filter(([door, to]) => to?.types && !door.includes('*'))
const files = doors.map(([, { types }]) => 'node_modules/hookring/' + types.slice(2))
const program = ts.createProgram(files, {
  strict: true, exactOptionalPropertyTypes: true, types: ['node'], target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
})
const checker = program.getTypeChecker()
const names = /(?:Options|Config|Verdict|Failure|Settings|Limits|Status|Rule|Tls|HookEngine|FakeEngine|SetupContext|HookContext|HookringError)$/
const seen = new Set()
let documented = 0
const missing = new Set()
for (const file of files) {
  for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)))) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    if (seen.has(symbol) || !(symbol.flags & ts.SymbolFlags.Type) || !names.test(exported.name)) continue
    seen.add(symbol)
    const type = checker.getDeclaredTypeOfSymbol(symbol)
    for (const one of type.isUnion() ? type.types : [type]) {
      for (const property of checker.getPropertiesOfType(one)) {
        const isOurs = (property.declarations ?? []).some((it) => it.getSourceFile().fileName.includes('/hookring/'))
        if (!isOurs || property.name.startsWith('__')) continue
        if (ts.displayPartsToString(property.getDocumentationComment(checker)) !== '') documented++
        else missing.add(exported.name + '.' + property.name)
      }
    }
  }
}
console.log(JSON.stringify({ documented, missing: [...missing] }))
`

let folder: string
let project: string

beforeAll(async () => {
  const pack = await packed('typescript')
  folder = pack.folder
  await lend(folder, ['@types/node', 'undici-types'])
  project = join(folder, 'user')
  await install(project, [
    ...[pack.tarball, 'zod', 'typescript@5.9', 'oldest@npm:typescript@5.7', 'newest@npm:typescript@latest'],
    ...['@grpc/grpc-js', '@msgpack/msgpack@3', 'aedes@1', 'ioredis@5', 'fastify@5'],
  ])
  await write(project, { 'consumer.ts': CONSUMER, 'undocumented.mjs': UNDOCUMENTED })
}, 240_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(['oldest', 'newest'])('the %s TypeScript', (name) => {
  test('reads the declarations, its own checks of them included, and a spread event is a replacement', async () => {
    const tsc = join(project, 'node_modules', name, 'bin/tsc')
    const { code, stdout } = await node([tsc, ...STRICT_FLAGS, 'consumer.ts'], project)
    expect(code, stdout).toBe(0)
    const ran = await node(['consumer.js'], project)
    expect(JSON.parse(ran.stdout)).toEqual({ text: 'x', at: { ms: 1 } })
  }, 120_000)
})

test('an editor shows a docstring for every option, config, verdict, failure and status', async () => {
  const { code, stdout, stderr } = await node(['undocumented.mjs'], project)
  expect(code, stderr).toBe(0)
  const { documented, missing } = JSON.parse(stdout) as { documented: number; missing: string[] }
  expect(missing).toEqual([])
  expect(documented).toBeGreaterThan(250)
}, 60_000)
