/** What a plugin for QuickJS may be made of: one module of it and its packages, and nothing of Node.js. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLab, refusalOf, silent } from '../support/lab.js'
import { runProgram } from '../support/programs.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hookring-bundle-'))
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

const plugin = (hook: string, imports = '') => `
${imports}
import { definePlugin, reject } from 'hookring/plugin'
import { delivery } from 'hookring/contracts'
export default definePlugin(delivery, { name: 'made', setup: () => ({ onMessageEnqueue(event) { ${hook} } }) })`

const message = {
  senderIdentity: null,
  recipientKey: new Uint8Array(32),
  channelId: new Uint8Array(16),
  payloadLen: 7,
  seq: 5n,
}

async function ask(from: string, options: object = {}): Promise<string> {
  const engine = await createHookEngine({
    contract: delivery,
    spares: 0,
    logger: silent,
    plugins: [{ from, trust: 'untrusted', ...options }],
  })
  try {
    const verdict = await engine.hooks.onMessageEnqueue(message)
    return 'reason' in verdict ? verdict.reason : verdict.kind
  } finally {
    await engine.close()
  }
}

describe('a plugin for QuickJS', () => {
  test('is taken together with its own files, in TypeScript', async () => {
    const from = files({
      'main.ts': plugin(
        'const told: string = tell(event.payloadLen); return reject(told)',
        `import { tell } from './lib/tell.ts'`,
      ),
      'lib/tell.ts':
        'export enum Unit { Bytes = "bytes" }; export const tell = (n: number): string => n + " " + Unit.Bytes',
    })
    expect(await ask(from)).toBe('7 bytes')
  })

  test('is taken together with its npm packages, CommonJS included', async () => {
    const from = files({
      'main.mjs': plugin(
        'return reject(shout(modern(String(event.seq))))',
        `import shout from 'old-shout'; import { modern } from 'modern'`,
      ),
      'node_modules/old-shout/package.json': '{"name":"old-shout","version":"1.0.0","main":"index.js"}',
      'node_modules/old-shout/index.js': `const suffix = require('./suffix'); module.exports = (text) => text + suffix`,
      'node_modules/old-shout/suffix.js': `module.exports = process.env.NODE_ENV === 'production' ? '!' : '?'`,
      'node_modules/modern/package.json': '{"name":"modern","version":"1.0.0","type":"module","exports":"./index.js"}',
      'node_modules/modern/index.js': 'export const modern = (text) => "<" + text + ">"',
    })
    expect(await ask(from)).toBe('<5>!')
  })

  test('that needs Node.js is refused before a lane is bothered, with the way to the import', async () => {
    const from = files({
      'main.ts': plugin('return reject(read())', `import { read } from './lib/read.ts'`),
      'lib/read.ts': `import { secret } from 'deep'; export const read = (): string => secret`,
      'node_modules/deep/package.json': '{"name":"deep","version":"1.0.0","type":"module","exports":"./index.js"}',
      'node_modules/deep/index.js': `import { readFileSync } from 'node:fs'; export const secret = readFileSync('/etc/hostname', 'utf8')`,
    })
    const { code, message: said } = await refusalOf(ask(from))
    expect(code).toBe('PLUGIN_IMPORT_FAILED')
    expect(said).toContain(`plugin ${from} imports node:fs: main.ts -> lib/read.ts -> deep/index.js -> node:fs; `)
    expect(said).toContain('quickjs has no Node.js modules')
  })

  test.each([
    ['without node:', `import { sep } from 'path'`, 'return reject(sep)', 'path'],
    ['at run time', '', `return import('node:child_process').then(() => reject('in'))`, 'node:child_process'],
    ['by require', `import { os } from './os.cjs'`, 'return reject(os.EOL)', 'os'],
    ['for its effects alone', `import 'node:inspector/promises'; import './os.cjs'`, '', 'os'],
  ])('that needs Node.js is refused: %s', async (_, imports, hook, missing) => {
    const from = files({ 'main.mjs': plugin(hook, imports), 'os.cjs': `exports.os = require('os')` })
    const { code, message: said } = await refusalOf(ask(from))
    expect(code).toBe('PLUGIN_IMPORT_FAILED')
    expect(said).toContain(`imports ${missing}: main.mjs`)
  })

  test('may import what it does not use of Node.js, and a package that has the name of a module', async () => {
    const from = files({
      'main.mjs': plugin(
        'return reject(type)',
        `import { readFileSync } from 'node:fs'; import { type } from 'events'`,
      ),
      'node_modules/events/package.json': '{"name":"events","version":"3.0.0","main":"index.js"}',
      'node_modules/events/index.js': `exports.type = 'a package'`,
    })
    expect(await ask(from)).toBe('a package')
  })

  test('is told the name of its file, and not where that is', async () => {
    expect(await ask(files({ 'main.mjs': plugin('return reject(import.meta.url)') }))).toBe('file:///main.mjs')
  })

  test('may await at its top', async () => {
    const from = files({ 'main.mjs': plugin('return reject(later)', `const later = await Promise.resolve('later')`) })
    expect(await ask(from)).toBe('later')
  })

  test.each([
    ['throws', `throw new RangeError('not today')`, /made-up.*threw while it was imported: RangeError: not today/],
    ['waits for nothing', 'await new Promise(() => {})', /waits for something that never comes/],
    ['throws later', `await Promise.reject(new TypeError('too late'))`, /TypeError: too late/],
  ])('is refused when its import %s', async (_, statement, says) => {
    const refused = await refusalOf(ask(files({ 'main.mjs': plugin('', statement) }), { name: 'made-up' }))
    expect(refused).toMatchObject({ code: 'PLUGIN_IMPORT_FAILED', message: expect.stringMatching(says) })
  })

  test('is refused when it does not parse, or has nothing to give', async () => {
    expect(await refusalOf(ask(files({ 'main.mjs': 'export default {' })))).toMatchObject({
      code: 'PLUGIN_IMPORT_FAILED',
    })
    expect(await refusalOf(ask(files({ 'main.mjs': 'export const a = 1' })))).toMatchObject({
      code: 'PLUGIN_NO_EXPORT',
    })
    expect(await refusalOf(ask(files({ 'main.mjs': 'export default { then: 1 }' })))).toMatchObject({
      code: 'PLUGIN_NO_EXPORT',
      message: expect.stringContaining('its default export is object'),
    })
  })

  test('gives the refusals of any runtime: contract, config, hookpoint, setup', async () => {
    const from = files({ 'main.mjs': plugin('') })
    expect(await refusalOf(openLab({ plugins: [{ from, trust: 'untrusted' }] }))).toMatchObject({
      code: 'PLUGIN_CONTRACT_MISMATCH',
      message: expect.stringContaining('written for delivery@1, the engine asks lab@1'),
    })
    expect(await refusalOf(ask(from, { config: 1 }))).toMatchObject({ code: 'PLUGIN_CONFIG_INVALID' })
    const limiter = await refusalOf(ask('hookring/hooks/payload-limiter', { config: { maxBytes: -1 } }))
    expect(limiter).toMatchObject({
      code: 'PLUGIN_CONFIG_INVALID',
      message: expect.stringContaining('config.maxBytes'),
    })
    const hooks = files({ 'hooks.mjs': plugin('').replace('onMessageEnqueue', 'onNothing') })
    expect(await refusalOf(ask(hooks))).toMatchObject({
      code: 'HOOKPOINT_UNKNOWN',
      message: expect.stringContaining('it has onMessageEnqueue, onBatchEnqueue'),
    })
    const throws = files({
      'throws.mjs': plugin('').replace('setup: () => (', 'setup: () => { throw new TypeError("no") }, x: ('),
    })
    expect(await refusalOf(ask(throws))).toMatchObject({
      code: 'PLUGIN_SETUP_FAILED',
      message: expect.stringContaining('setup threw: TypeError: no'),
    })
    const maps = { config: { map: new Map() } }
    expect(await refusalOf(ask(from, maps))).toMatchObject({
      code: 'PLUGIN_CONFIG_INVALID',
      message: expect.stringContaining('config.map is a Map, which does not cross into quickjs'),
    })
  })

  test('with an integrity value must be one file of its own, besides hookring and zod', async () => {
    const sri = (text: string) => `sha256-${createHash('sha256').update(text).digest('base64')}`
    const whole = plugin('return reject(z.string().parse("pinned"))', `import { z } from 'zod'`)
    expect(await ask(files({ 'whole.mjs': whole }), { integrity: sri(whole) })).toBe('pinned')
    const parted = plugin('', `import './other.mjs'`)
    const refused = refusalOf(ask(files({ 'parted.mjs': parted, 'other.mjs': '' }), { integrity: sri(parted) }))
    expect(await refused).toMatchObject({
      code: 'PLUGIN_IMPORT_FAILED',
      message: expect.stringContaining('does not cover ./other.mjs'),
    })
    const other = await refusalOf(ask(files({ 'whole.mjs': whole }), { integrity: sri(parted) }))
    expect(other).toMatchObject({ code: 'INTEGRITY_MISMATCH' })
  })

  test.each([
    ['esbuild', 'ESBUILD_MISSING', 'install esbuild'],
    ['@jitl/quickjs-ng-wasmfile-release-sync', 'QUICKJS_MISSING', 'npm install @jitl/quickjs-ng-wasmfile-release-sync'],
  ])('is refused where %s is not installed, with what to do', async (name, code, advice) => {
    const { said } = await runProgram('package-missing.mjs', [name])
    expect(said[0]).toMatchObject({ code, message: expect.stringContaining(advice) })
  })
})
