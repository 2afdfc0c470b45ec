/**
 * A project that Yarn has installed without node_modules folders (Plug'n'Play). Lanes get what resolves packages there from
 * the server's flags. From the packed tarball; needs a package registry.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packed, run, write } from '../support/tarball.js'

const FILES = {
  'package.json': '{ "name": "user", "private": true, "type": "module" }',
  'yarn.lock': '',
  '.yarnrc.yml': 'nodeLinker: pnp\nenableTelemetry: false\nenableImmutableInstalls: false\n',
  'contract.mjs': `
import { defineContract, gate } from 'hookring/contracts'
import { z } from 'zod'
export const shop = defineContract('shop', 1, { onOrder: gate(z.object({ cents: z.number() })) })
`,
  'plugins/limit.mjs': `
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'
import { shop } from '../contract.mjs'
export default definePlugin(shop, {
  name: 'limit',
  config: z.object({ most: z.number() }),
  setup: ({ config }) => ({ onOrder: ({ cents }) => (cents > config.most ? reject('too dear') : undefined) }),
})
`,
  'server.mjs': `
import { createHookEngine } from 'hookring'
import { shop } from './contract.mjs'
try {
  const options = process.argv[2] === undefined ? {} : JSON.parse(process.argv[2])
  const engine = await createHookEngine({
    contract: shop,
    plugins: [{ from: './plugins/limit.mjs', config: { most: 10 }, ...options }],
  })
  console.log((await engine.hooks.onOrder({ cents: 11 })).reason)
  await engine.close()
} catch (error) {
  console.log(error.code, error.message)
}
`,
}

let folder: string
let project: string
const yarn = (...args: string[]) => run('npx', ['--yes', '--prefer-offline', '@yarnpkg/cli-dist@4', ...args], project)

beforeAll(async () => {
  const pack = await packed('yarn')
  folder = pack.folder
  project = join(folder, 'user')
  await write(project, FILES)
  const added = await yarn('add', `hookring@file:${pack.tarball}`, 'zod')
  expect(added.code, added.stdout + added.stderr).toBe(0)
}, 240_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

test('an engine runs a trusted plugin in a lane', async () => {
  const { code, stdout, stderr } = await yarn('node', 'server.mjs')
  expect(code, stdout + stderr).toBe(0)
  expect(stdout).toBe('too dear\n')
}, 60_000)

test.each([{ trust: 'untrusted' }, { runtime: 'quickjs' }, { boundary: 'process' }])(
  '%o is refused, and told why',
  async (options) => {
    const { stdout, stderr } = await yarn('node', 'server.mjs', JSON.stringify(options))
    expect(stdout, stderr).toMatch(/^PNP_UNSUPPORTED .*nodeLinker: node-modules/)
  },
  60_000,
)
