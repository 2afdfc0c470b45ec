/**
 * Servers that are bundled: with hookring left out they run, with hookring inside they say what to do, and they run when they
 * are told where the entry of lanes is. From the packed tarball; needs a package registry.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { install, lend, node, packed, write } from '../support/tarball.js'

const FILES = {
  'src/contract.ts': `
import { defineContract, gate } from 'hookring/contracts'
import { z } from 'zod'
export const shop = defineContract('shop', 1, { onOrder: gate(z.object({ cents: z.number() })) })
`,
  'plugins/limit.mjs': `
import { defineContract, gate } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'
const shop = defineContract('shop', 1, { onOrder: gate(z.object({ cents: z.number() })) })
export default definePlugin(shop, {
  name: 'limit',
  config: z.object({ most: z.number() }),
  setup: ({ config }) => ({ onOrder: ({ cents }) => (cents > config.most ? reject('too dear') : undefined) }),
})
`,
  'src/server.ts': `
import { createHookEngine, HookringError } from 'hookring'
import { shop } from './contract.js'
async function main() {
  const engine = await createHookEngine({
    contract: shop,
    plugins: [{ from: './plugins/limit.mjs', config: { most: 10 } }],
    ...(process.env.WORKER_URL === undefined ? {} : { workerUrl: process.env.WORKER_URL }),
  })
  const verdict = await engine.hooks.onOrder({ cents: 11 })
  await engine.close()
  console.log(verdict.kind === 'reject' ? verdict.reason : verdict.kind)
}
main().catch((error) => {
  console.log(error instanceof HookringError ? error.code : 'no HookringError', error.message)
  process.exitCode = 1
})
`,
  'esbuild.mjs': `
import { build } from 'esbuild'
const [out, format, inside] = process.argv.slice(2)
await build({
  entryPoints: ['src/server.ts'], bundle: true, platform: 'node', format, outfile: out, logLevel: 'error',
  external: inside ? ['prom-client'] : ['hookring', 'hookring/*'],
})
`,
  'rollup.config.mjs': `
export default {
  input: 'compiled/server.js',
  output: { file: 'dist/rollup.mjs', format: 'es' },
  external: [/^hookring(\\/|$)/, 'zod'],
}
`,
  'vite.config.mjs': `
export default {
  logLevel: 'error',
  build: { ssr: 'src/server.ts', outDir: 'dist/vite', rollupOptions: { output: { entryFileNames: 'server.mjs' } } },
  ssr: process.env.INSIDE ? { noExternal: true, external: ['prom-client'] } : {},
}
`,
  'webpack.config.mjs': `
export default {
  mode: 'production', target: 'node20', entry: './compiled/server.js', experiments: { outputModule: true },
  output: { path: import.meta.dirname + '/dist', filename: 'webpack.mjs', module: true, chunkFormat: 'module' },
  externals: [({ request }, callback) => /^hookring(\\/|$)/.test(request) ? callback(null, 'module ' + request) : callback()],
  externalsPresets: { node: true },
}
`,
}

let folder: string
let project: string

const bin = (name: string, file: string) => join(name === 'here' ? project : folder, 'node_modules', file)

async function made(args: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const { code, stdout, stderr } = await node(args, project, env)
  expect(code, stdout + stderr).toBe(0)
}

beforeAll(async () => {
  const pack = await packed('bundlers')
  folder = pack.folder
  await lend(folder, ['esbuild', 'vite', 'typescript', '@types/node', 'undici-types'])
  project = join(folder, 'server')
  await write(project, FILES)
  await install(project, [pack.tarball, 'zod', 'rollup@4', 'webpack@5', 'webpack-cli@6'])
  await made([
    ...[bin('lent', 'typescript/bin/tsc'), '--outDir', 'compiled', '--target', 'es2022', '--module', 'nodenext'],
    ...['--types', 'node', '--rootDir', 'src', 'src/server.ts'],
  ])
}, 240_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

const BUILDS = {
  'esbuild, ESM': { file: 'dist/esbuild.mjs', build: () => made(['esbuild.mjs', 'dist/esbuild.mjs', 'esm']) },
  'esbuild, CommonJS': { file: 'dist/esbuild.cjs', build: () => made(['esbuild.mjs', 'dist/esbuild.cjs', 'cjs']) },
  rollup: { file: 'dist/rollup.mjs', build: () => made([bin('here', 'rollup/dist/bin/rollup'), '-c', '--silent']) },
  webpack: { file: 'dist/webpack.mjs', build: () => made([bin('here', 'webpack/bin/webpack.js')]) },
  'Vite, ssr': { file: 'dist/vite/server.mjs', build: () => made([bin('lent', 'vite/bin/vite.js'), 'build']) },
}

describe('with hookring left out of the bundle, a server runs', () => {
  test.each(Object.entries(BUILDS))(
    '%s',
    async (_, { file, build }) => {
      await build()
      expect(await node([file], project)).toMatchObject({ code: 0, stdout: 'too dear\n' })
    },
    120_000,
  )
})

/** From another folder than where it was built: what was beside the sources is not beside it. */
const INSIDE = {
  'esbuild, ESM': { file: 'esbuild.mjs', build: () => made(['esbuild.mjs', 'away/esbuild.mjs', 'esm', 'inside']) },
  'esbuild, CommonJS': { file: 'esbuild.cjs', build: () => made(['esbuild.mjs', 'away/esbuild.cjs', 'cjs', 'inside']) },
  'Vite, ssr': {
    file: 'server.mjs',
    build: () => made([bin('lent', 'vite/bin/vite.js'), 'build', '--outDir', 'away'], { INSIDE: '1' }),
  },
}

describe.each(Object.entries(INSIDE))('with hookring inside, by %s', (_, { file, build }) => {
  beforeAll(build, 120_000)

  test('it says what to do', async () => {
    const { code, stdout, stderr } = await node([join('away', file)], project)
    expect(code, stderr).toBe(1)
    expect(stdout).toMatch(/^LANE_ENTRY_MISSING .*bundled.*external.*workerUrl/)
  })

  test.each(['path', 'URL'])('it runs when it is told where the entry of lanes is, as a %s', async (kind) => {
    const entry = 'node_modules/hookring/dist/worker/entry.js'
    const env = { WORKER_URL: kind === 'path' ? entry : pathToFileURL(join(project, entry)).href }
    const { code, stdout, stderr } = await node([join('away', file)], project, env)
    expect(code, stdout + stderr).toBe(0)
    expect(stdout).toBe('too dear\n')
  })

  test('a wrong place is named', async () => {
    const { stdout } = await node([join('away', file)], project, { WORKER_URL: './nowhere.js' })
    expect(stdout).toMatch(/^LANE_ENTRY_MISSING .*nowhere\.js/)
  })
})
