/**
 * The imports of a plugin that is not trusted: whatever a stranger names, and in whatever way, what stands outside the plugin's
 * folders is neither in the bundle nor in the error.
 */
import { dirname } from 'node:path'
import * as esbuild from 'esbuild'
import fc from 'fast-check'
import { HookringError } from 'hookring'
import { BundleFailure, bundle } from '../../../dist/host/sources/bundler/build.js'
import { type CanaryTree, canaryTree, REACHES } from '../../support/canary-tree.js'
import { type Target, tryLater } from './target.js'

interface Import {
  readonly statement: string
  readonly form: 'guest' | 'process'
  readonly reach: 'roots' | 'pinned'
}

const PARTS = [
  '..',
  '.',
  '',
  'secret',
  'secret.json',
  'secret.js',
  'link.js',
  'link.json',
  'up',
  'root',
  'plugin',
  'inner.js',
  'pipe.js',
  'lib',
  'node_modules',
  'out',
  'far-main',
  'far-exports',
  'good',
  'index',
  'etc',
  'hosts',
  '%2e%2e',
  '\u0000',
  ' ',
  '?x',
  '#x',
  '*',
  'C:',
  '\\',
]
const HEADS = [
  './',
  '../',
  '/',
  '',
  '#',
  '#any/',
  'any/',
  'stranger/',
  'out/',
  'good/',
  'far-exports/',
  'node:',
  'file:',
  'file://',
  'data:text/javascript,',
  '@',
  './up/',
  './root/',
  'hookring/',
  'hookring/../',
  'zod/',
]

const specifiers = fc
  .tuple(
    fc.constantFrom(...HEADS),
    fc.array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...PARTS) }, fc.string({ maxLength: 6 })), {
      maxLength: 5,
    }),
  )
  .map(([head, parts]) => head + parts.join('/'))

const WAYS: readonly ((name: string) => string)[] = [
  (name) => `import x from ${name}; export default x`,
  (name) => `import * as x from ${name}; export default x`,
  (name) => `import ${name}; export default 1`,
  (name) => `export * from ${name}; export default 1`,
  (name) => `import x from ${name} with { type: 'json' }; export default x`,
  (name) => `import x from ${name} with { type: 'text' }; export default x`,
  (name) => `export default require(${name})`,
  (name) => `export default require.resolve(${name})`,
  (name) => `export default import(${name})`,
  (name) => `import x = require(${name}); export default x`,
  (name) => `try { module.exports = require(${name}) } catch {}`,
  (name) => `export default (v) => import(${name} + v)`,
  (name) => `export default new URL(${name}, import.meta.url)`,
]

const imports: fc.Arbitrary<Import> = fc.record({
  statement: fc.oneof(
    {
      weight: 5,
      arbitrary: fc.tuple(fc.constantFrom(...WAYS), specifiers).map(([way, name]) => way(JSON.stringify(name))),
    },
    fc.constantFrom(...Object.values(REACHES)).map((statement) => `${statement}\nexport default x`),
  ),
  form: fc.constantFrom('guest', 'process'),
  reach: fc.oneof({ weight: 4, arbitrary: fc.constant('roots' as const) }, fc.constant('pinned' as const)),
})

let tree: CanaryTree | null = null

export const IMPORT_TARGETS: readonly Target<Import>[] = [
  {
    name: 'imports of untrusted plugins',
    group: 'borders',
    share: 0.25,
    cases: imports,
    async check({ statement, form, reach }, tally) {
      tree ??= canaryTree()
      const { entry, holdsCanary } = tree
      tree.write('main.ts', statement)
      const roots = reach === 'pinned' ? [entry] : [dirname(entry)]
      const job = {
        path: entry,
        form,
        reach,
        runtime: 'quickjs',
        integrity: null,
        folders: { roots, packages: [] },
        parts: {},
      }
      const outcome = await tryLater(tally, () => bundle(esbuild, job, () => {}).catch(coded))
      const text = 'value' in outcome ? Buffer.from(outcome.value.contents).toString() : textOf(outcome.refusal)
      if (holdsCanary(text)) throw new Error(`it tells what stands outside: ${text.slice(0, 500)}`)
    },
    async close() {
      tree?.remove()
      tree = null
      await esbuild.stop()
    },
  },
]

/** What does not compile is told with its lines, and coded by the server's side. */
function coded(error: unknown): never {
  if (!(error instanceof BundleFailure)) throw error
  throw new HookringError('PLUGIN_IMPORT_FAILED', error.message, { cause: error })
}

function textOf(error: Error): string {
  const { problems } = (error.cause ?? {}) as { problems?: unknown }
  return `${error.message} ${error.stack} ${JSON.stringify(problems)}`
}
