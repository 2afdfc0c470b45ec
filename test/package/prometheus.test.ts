/**
 * A registry of @prometheus-io/client, which follows prom-client, in an engine. It needs Node.js 22: where the tests run on an
 * older one and .cache/node24 has no newer, they are skipped. From the packed tarball; needs a package registry.
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { install, packed, ROOT, run, write } from '../support/tarball.js'

const NODE_24 = join(ROOT, '.cache/node24/node_modules/node24/bin/node')
const isNew = Number(process.versions.node.split('.')[0]) >= 22
const binary = isNew ? process.execPath : existsSync(NODE_24) ? NODE_24 : null

const SERVER = `
import { createHookEngine } from 'hookring'
import { defineContract, gate } from 'hookring/contracts'
import { z } from 'zod'
import { Registry } from '@prometheus-io/client'
const shop = defineContract('shop', 1, { onOrder: gate(z.object({ cents: z.number() })) })
const plugin = { from: './plugin.mjs' }
const registry = new Registry()
const engine = await createHookEngine({ contract: shop, registry, plugins: [plugin] })
await engine.hooks.onOrder({ cents: 1 })
const text = await registry.metrics()
await engine.close()
console.log(JSON.stringify({
  isTheirs: engine.registry === registry,
  calls: text.split('\\n').filter((line) => line.startsWith('hookring_calls_total{')),
}))
`
const PLUGIN = `
import { defineContract, gate } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { z } from 'zod'
const shop = defineContract('shop', 1, { onOrder: gate(z.object({ cents: z.number() })) })
export default definePlugin(shop, { name: 'p', setup: () => ({ onOrder: () => {} }) })
`

describe.skipIf(binary === null)(`on ${binary ?? 'no Node.js 22 or later'}`, () => {
  let folder: string
  let project: string

  beforeAll(async () => {
    const pack = await packed('prometheus')
    folder = pack.folder
    project = join(folder, 'user')
    await write(project, { 'server.mjs': SERVER, 'plugin.mjs': PLUGIN })
    await install(project, [pack.tarball, 'zod', '@prometheus-io/client', '--force'])
  }, 240_000)

  afterAll(() => rm(folder, { recursive: true, force: true }))

  test("the engine's metrics are in it", async () => {
    const { code, stdout, stderr } = await run(binary as string, ['server.mjs'], project)
    expect(code, stderr).toBe(0)
    const { isTheirs, calls } = JSON.parse(stdout) as { isTheirs: boolean; calls: string[] }
    expect(isTheirs).toBe(true)
    expect(calls.some((line) => /hookpoint="onOrder".* 1$/.test(line))).toBe(true)
  }, 60_000)
})
