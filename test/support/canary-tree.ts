/**
 * A stranger's plugin in a folder of its own, and around it what it must not get at: each file outside says a canary, and
 * links, pipes and package.json files inside lead there in every way that there is.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface CanaryTree {
  /** All of it; the plugin's own folder is `plugin` in here. */
  readonly folder: string
  /** The plugin's file, not yet written. */
  readonly entry: string
  /** Whether a text says what stands outside. */
  holdsCanary(text: string): boolean
  write(name: string, text: string): void
  remove(): void
}

const OUTSIDE = ['secret.json', 'secret.js', 'secret.ts', 'secret.cjs', 'secret.txt', 'secret', '.env', 'index.js']
const LINKS: Readonly<Record<string, string>> = {
  'link.json': '../secret.json',
  'link.js': '../secret.js',
  'link.txt': '../secret.txt',
  'zero.js': '/dev/zero',
  'tty.json': '/dev/ptmx',
  'environ.json': '/proc/self/environ',
  up: '..',
  root: '/',
  'inner-link.js': './inner.js',
  'node_modules/out': '../..',
  'node_modules/linked-main/index.js': '../../../secret.js',
  'node_modules/linked-manifest/package.json': '../../../secret.json',
}
const MANIFESTS: Readonly<Record<string, object>> = {
  'node_modules/far-main': {
    main: '../../../secret.json',
    module: '../../../secret.js',
    browser: '../../../secret.ts',
  },
  'node_modules/far-exports': { exports: { '.': '../../../secret.json', './*': '../../../*' } },
  'node_modules/far-browser': {
    main: 'index.js',
    browser: { './index.js': '../../../secret.js', fs: '../../../secret.js' },
  },
  'node_modules/good': { name: 'good', version: '1.0.0', exports: { '.': './index.js', './data': './data.json' } },
}

export function canaryTree(): CanaryTree {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'hookring-canary-')))
  const canary = `CANARY${randomBytes(8).toString('hex')}`
  const plugin = join(folder, 'plugin')
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(join(plugin, name)), { recursive: true })
    writeFileSync(join(plugin, name), text)
  }
  mkdirSync(plugin)
  for (const name of OUTSIDE) {
    const text = name.endsWith('.json')
      ? `{"main":"./secret.js","key":"${canary}"}`
      : `export default "${canary}" // ${canary}`
    writeFileSync(join(folder, name), text)
  }
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { paths: { said: ['./secret.json'] } } }),
  )
  write(
    'package.json',
    JSON.stringify({
      name: 'stranger',
      type: 'module',
      imports: { '#far': '../secret.json', '#link': './link.json', '#any/*': '../*', '#inner': './inner.js' },
      exports: { '.': './main.ts', './far': '../secret.json', './link': './link.js' },
      browser: { './mapped.js': '../secret.js', mapped: '../secret.json', path: './link.js' },
    }),
  )
  const paths = { said: ['../secret.json'], 'any/*': ['../*'] }
  write('tsconfig.json', JSON.stringify({ extends: '../tsconfig.json', compilerOptions: { baseUrl: '..', paths } }))
  write('inner.js', 'export default "inner"')
  write('inner.json', '{"inner":true}')
  write('mapped.js', 'export default "mapped"')
  write('lib/deep.ts', 'export default "deep" as string')
  for (const [name, value] of Object.entries(MANIFESTS)) {
    write(`${name}/package.json`, JSON.stringify(value))
    write(`${name}/index.js`, 'import "fs"; export default "package"')
    write(`${name}/data.json`, '{"data":1}')
  }
  for (const [name, to] of Object.entries(LINKS)) {
    mkdirSync(dirname(join(plugin, name)), { recursive: true })
    symlinkSync(to, join(plugin, name))
  }
  spawnSync('mkfifo', [join(plugin, 'pipe.js'), join(plugin, 'pipe.json')])
  return {
    folder,
    entry: join(plugin, 'main.ts'),
    holdsCanary: (text) => text.includes(canary),
    write,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** What a stranger may write to get at a file outside: each alone is the first lines of a plugin. */
export const REACHES: Readonly<Record<string, string>> = {
  'a file as text': `import x from '../secret.txt' with { type: 'text' }`,
  'a file as bytes': `import x from '../secret.json' with { type: 'bytes' }`,
  'a file as what it is not': `import x from './inner.js' with { type: 'text' }`,
  'the environment of the server': `import x from '/proc/self/environ' with { type: 'text' }`,
  'the users of the machine': `import x from '/etc/passwd' with { type: 'text' }`,
  'JSON above': `import x from '../secret.json'`,
  'JSON above, as JSON': `import x from '../secret.json' with { type: 'json' }`,
  'JavaScript above': `import x from '../secret.js'`,
  'TypeScript above': `import x from '../secret'`,
  'CommonJS above': `const x = require('../secret.cjs')`,
  'a folder above': `import x from '..'`,
  'a file without extension': `import x from '../secret'`,
  'all that a module exports': `export * from '../secret.js'; const x = 1`,
  'a module of TypeScript': `import x = require('../secret.json')`,
  'a pattern': `const x = (v: string) => import('../' + v + '.json')`,
  'a pattern for require': `const x = (v: string) => require(\`../\${v}\`)`,
  'a pattern inside': `const x = (v: string) => import('./' + v + '.json')`,
  'a link to JSON': `import x from './link.json'`,
  'a link to JavaScript': `import x from './link.js'`,
  'a link to a folder': `import x from './up/secret.json'`,
  'a link to everything': `import x from './root/etc/hosts.json'`,
  'a link to what tells of the process': `import x from './environ.json'`,
  'a link to a device without an end': `import x from './zero.js'`,
  'a link to a terminal': `import x from './tty.json'`,
  'a pipe': `import x from './pipe.js'`,
  'a pipe of JSON': `import x from './pipe.json'`,
  'a URL': `import x from 'file:../secret.json'`,
  'a name of package.json that leads out': `import x from '#far'`,
  'a name of package.json that leads to a link': `import x from '#link'`,
  'a pattern of package.json': `import x from '#any/secret.json'`,
  'its own name': `import x from 'stranger/far'`,
  'its own name and a link': `import x from 'stranger/link'`,
  'a file that browsers replace': `import x from './mapped.js'`,
  'a package that browsers replace': `import x from 'mapped'`,
  'a module of Node.js that browsers replace': `import x from 'path'`,
  'a package that is a link': `import x from 'out/secret.json'`,
  'a package that is a link, by its main file': `import x from 'out'`,
  'a package whose file is a link': `import x from 'linked-main'`,
  'a package whose package.json is a link': `import x from 'linked-manifest'`,
  'a package whose main file is elsewhere': `import x from 'far-main'`,
  'a package whose exports are elsewhere': `import x from 'far-exports'`,
  'a package whose exports are anywhere': `import x from 'far-exports/secret.json'`,
  'a package whose file for browsers is elsewhere': `import x from 'far-browser'`,
  'a path of tsconfig.json': `import x from 'said'`,
  'a pattern of tsconfig.json': `import x from 'any/secret.json'`,
  'the base of tsconfig.json': `import x from 'secret.json'`,
}
