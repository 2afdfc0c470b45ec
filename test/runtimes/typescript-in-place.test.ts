/** TypeScript is loaded in place, file by file: what is right under plain Node.js is right in a lane. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { openLab } from '../support/lab.js'
import { answering, type Project, project } from '../support/projects.js'

// Apart from other tests, so that whatever is written to it is seen.
const temporary = mkdtempSync(join(tmpdir(), 'in-place-'))
process.env.TMPDIR = temporary
afterAll(() => rmSync(temporary, { recursive: true }))

async function answerOf(made: Project, file = 'plugin.ts'): Promise<unknown> {
  const { hooks } = await openLab({ plugins: [{ from: made.url(file), timeoutMs: 5_000 }] })
  const verdict = await hooks.onRespond({})
  return verdict.kind === 'respond' ? verdict.value.text : verdict
}

describe('a file of TypeScript', () => {
  it('knows where it is', async () => {
    const made = project({
      'plugin.ts': answering(
        '[import.meta.url, import.meta.dirname, import.meta.filename, import.meta.resolve("./helper.ts")].join()',
      ),
      'helper.ts': '',
    })
    const [url, helper] = [made.url('plugin.ts').href, made.url('helper.ts').href]
    expect(await answerOf(made)).toBe([url, made.folder, join(made.folder, 'plugin.ts'), helper].join())
  })

  it.each([
    ['helper.ts', './helper.ts'],
    ['helper.ts', './helper.js'],
    ['helper.ts', './helper'],
    ['helper.mts', './helper.mjs'],
    ['helper.mts', './helper.mts'],
    ['helper.tsx', './helper.js'],
    ['helper.js', './helper'],
    ['helper/index.ts', './helper'],
    ['helper/index.ts', './helper/index.js'],
    ['helper with space.ts', './helper with space.js'],
  ])('finds %s as %s', async (file, specifier) => {
    const made = project({
      'package.json': '{ "type": "module" }',
      'plugin.ts': answering('where', `import { where } from '${specifier}'`),
      [file]: 'export const where = import.meta.url',
    })
    expect(await answerOf(made)).toBe(made.url(file).href)
  })

  it('imports what it computes the name of, and the same module only once', async () => {
    const made = project({
      'plugin.ts': answering(
        '[...(await Promise.all(["one", "two", "one"].map((name) => import("./parts/" + name + ".ts")))).map((part) => part.id)].join()',
      ),
      'parts/one.ts': 'export const id: number = Math.random()',
      'parts/two.ts': 'export const id = 2 as const',
    })
    const [first, second, third] = String(await answerOf(made)).split(',')
    expect([second, third]).toEqual(['2', first])
  })

  it('has enums, namespaces, parameter properties and decorators by its tsconfig.json', async () => {
    const made = project({
      'tsconfig.base.json': '{ "compilerOptions": { "experimentalDecorators": true } }',
      'tsconfig.json':
        '{ "extends": "./tsconfig.base.json", "compilerOptions": { "jsx": "react", "jsxFactory": "h" } }',
      'plugin.tsx': answering(
        '[Colour.Red, Shades.darkest, new Held(3).count, marked, <b/>].join()',
        `enum Colour { Red = 'red' }
        namespace Shades { export const darkest = 'black' }
        let marked = ''
        const h = (name: string) => '<' + name + '>'
        function mark(target: { name: string }) { marked = target.name }
        @mark class Held { constructor(readonly count: number) {} }`,
      ),
    })
    expect(await answerOf(made, 'plugin.tsx')).toBe('red,black,3,Held,<b>')
  })

  it('finds what tsconfig.json calls paths', async () => {
    const made = project({
      'tsconfig.json': '{ "compilerOptions": { "paths": { "@parts/*": ["./src/parts/*"], "~": ["./src/root.ts"] } } }',
      'src/parts/one.ts': 'export const one = import.meta.url',
      'src/root.ts': 'export const root = import.meta.url',
      'src/plugin.ts': answering('[one, root].join()', "import { one } from '@parts/one'\nimport { root } from '~'"),
    })
    const places = [made.url('src/parts/one.ts').href, made.url('src/root.ts').href]
    expect(await answerOf(made, 'src/plugin.ts')).toBe(places.join())
  })

  it('imports JSON, with the attribute and without', async () => {
    const made = project({
      'plugin.ts': answering(
        '[plain.size, size, marked.size].join()',
        `import plain, { size } from './sizes.json'
        import marked from './more.json' with { type: 'json' }`,
      ),
      'sizes.json': '{ "size": 1, "not-a-name": 2, "default": 3 }',
      'more.json': '{ "size": 4 }',
    })
    expect(await answerOf(made)).toBe('1,1,4')
  })

  it('is a module without a word of modules where its package is of modules', async () => {
    const made = project({
      'package.json': '{ "type": "module" }',
      'plugin.ts': answering('globalThis.seen', "import './helper.ts'"),
      'helper.ts': 'Object.assign(globalThis, { seen: [typeof require, this].join() as string })',
    })
    expect(await answerOf(made)).toBe('undefined,')
  })

  it.each(['{}', '{ "type": "module" }', '{ "type": "commonjs" }'])(
    'is a module by its syntax, in a package of %s',
    async (text) => {
      const made = project({ 'package.json': text, 'plugin.ts': answering('1') })
      expect(await answerOf(made)).toBe('1')
    },
  )
})

describe('CommonJS beside TypeScript', () => {
  it('is imported and required, in JavaScript and in TypeScript', async () => {
    const made = project({
      'package.json': '{}',
      'plugin.ts': answering(
        '[js.kind, ts.kind, loaded.kind, nested].join()',
        `import { createRequire } from 'node:module'
        import js from './helper.cjs'
        import ts from './helper.cts'
        import { nested } from './nested.cjs'
        const require = createRequire(import.meta.url)
        const loaded: { kind: string } = require('./required.ts')`,
      ),
      'helper.cjs': "module.exports = { kind: 'cjs' }",
      'helper.cts':
        "import path = require('node:path')\nconst kind: string = path.basename(__filename)\nexport = { kind }",
      'required.ts': "const kind: string = 'required'\nmodule.exports = { kind }",
      'nested.cjs': "exports.nested = require('./inner').inner + require('./deep.cjs').deep",
      'inner.ts': "export const inner: string = 'inner'",
      'deep.cts': "exports.deep = 'deep' as string",
    })
    expect(await answerOf(made)).toBe('cjs,helper.cts,required,innerdeep')
  })
})

describe('packages', () => {
  it('of a workspace export TypeScript, by a link in node_modules', async () => {
    const made = project({
      'packages/shared/package.json':
        '{ "name": "@work/shared", "type": "module", "exports": { ".": "./src/index.ts", "./*": "./src/*.ts" } }',
      'packages/shared/src/index.ts': "export { where } from './where.js'",
      'packages/shared/src/where.ts': 'export const where: string = import.meta.url',
      'packages/shared/src/more.ts': 'export enum More { Much = 5 }',
      'plugins/plugin.ts': answering(
        '[where, More.Much].join()',
        "import { where } from '@work/shared'\nimport { More } from '@work/shared/more'",
      ),
    })
    made.link('node_modules/@work/shared', 'packages/shared')
    expect(await answerOf(made, 'plugins/plugin.ts')).toBe(`${made.url('packages/shared/src/where.ts').href},5`)
  })

  it('are reached by #imports, and stay what they are in JavaScript', async () => {
    const made = project({
      'package.json': '{ "type": "module", "imports": { "#parts/*": "./parts/*.ts" } }',
      'parts/one.ts': 'export const one: number = 1',
      'node_modules/plain/package.json': '{ "name": "plain", "type": "module", "exports": "./index.js" }',
      'node_modules/plain/index.js': 'export const plain = import.meta.url',
      'node_modules/old/index.js': 'module.exports = { old: __filename }',
      'plugin.ts': answering(
        '[one, plain, old.old].join()',
        "import { one } from '#parts/one'\nimport { plain } from 'plain'\nimport old from 'old'",
      ),
    })
    const plain = made.url('node_modules/plain/index.js').href
    expect(await answerOf(made)).toBe(`1,${plain},${join(made.folder, 'node_modules/old/index.js')}`)
  })

  it('that are missing are named, and who asks for them', async () => {
    const made = project({
      'plugin.ts': answering('part', "import { part } from './part.js'"),
      'part.ts': "import { part } from 'not-there'\nexport { part }",
    })
    const failure = await answerOf(made).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'PLUGIN_IMPORT_FAILED',
      message: expect.stringMatching(/not-there.*part\.ts/s),
    })
  })
})

describe('what goes wrong', () => {
  it('names the line of a file that does not compile', async () => {
    const made = project({ 'plugin.ts': "import './part.js'", 'part.ts': '\n\nconst x: = 1' })
    const failure = await answerOf(made).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'PLUGIN_IMPORT_FAILED',
      message: expect.stringContaining(`${join(made.folder, 'part.ts')}:3:10: `),
    })
  })

  it('shows a stack with the file and the line of the source', async () => {
    const made = project({
      'plugin.ts': answering('fails({ a: "", b: "" })', "import { fails } from './fails.js'"),
      'fails.ts': `
      interface Wide { a: string; b: string }
      type Both = { a: Wide; b: Wide }

      export function fails(wide: Wide): never {
        throw new Error('on line 6')
      }`,
    })
    const { hooks, engine } = await openLab({ plugins: [{ from: made.url('plugin.ts') }] })
    const said = new Promise((resolve) => engine.once('pluginError', resolve))
    await hooks.onRespond({}).catch(() => {})
    expect(await said).toMatchObject({
      error: { message: 'on line 6', stack: expect.stringContaining(`${join(made.folder, 'fails.ts')}:6:`) },
    })
  })
})

describe('a reload', () => {
  it('takes a changed helper, and a changed tsconfig.json', async () => {
    const made = project({
      'plugin.ts': answering(
        '[part, marked].join()',
        "import { part } from './lib/part.js'\nimport { marked } from './marked.js'",
      ),
      'lib/part.ts': "export const part: string = 'first'",
      'tsconfig.json': '{ "compilerOptions": { "useDefineForClassFields": false } }',
      'marked.ts':
        'class Base { constructor() { (this as any).set() } }\nclass Held extends Base { held?: string; set() { this.held = "set" } }\nexport const marked = new Held().held',
    })
    const { hooks, engine } = await openLab({ plugins: [{ from: made.url('plugin.ts') }] })
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'first,set' } })
    made.write('lib/part.ts', "export const part: string = 'second'")
    await engine.reload('answering')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'second,set' } })
    made.write('tsconfig.json', '{ "compilerOptions": { "useDefineForClassFields": true } }')
    await engine.reload('answering')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: 'second,' } })
  })
})

describe('the temporary folder', () => {
  it('is not needed', async () => {
    const missing = join(temporary, 'not-there')
    process.env.TMPDIR = missing
    onTestFinished(() => {
      process.env.TMPDIR = temporary
    })
    expect(await answerOf(project({ 'plugin.ts': answering('1') }))).toBe('1')
    expect(readdirSync(temporary)).toEqual([])
  })
})

describe('a plugin in JavaScript', () => {
  it('imports TypeScript of its own and of a workspace', async () => {
    const made = project({
      'packages/shared/package.json': '{ "name": "shared", "type": "module", "exports": "./index.ts" }',
      'packages/shared/index.ts': 'export enum Size { Large = 3 }',
      'plugin.mjs': answering(
        '[one, Size.Large].join()',
        "import { one } from './one.ts'\nimport { Size } from 'shared'",
      ),
      'one.ts': 'export const one: number = 1',
    })
    made.link('node_modules/shared', 'packages/shared')
    const { hooks, engine } = await openLab({ plugins: [{ from: made.url('plugin.mjs') }] })
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: '1,3' } })
    made.write('one.ts', 'export const one: number = 2')
    await engine.reload('answering')
    expect(await hooks.onRespond({})).toMatchObject({ value: { text: '2,3' } })
  })
})
