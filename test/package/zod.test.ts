/**
 * The user's own zod, of any version that the peer range names: contracts, plugins and engines must pass the type checker
 * and run with it, lanes that are bundled with it included. Needs a package registry.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { install, lend, node, packed, STRICT_FLAGS, write } from '../support/tarball.js'

const VERSIONS = [
  { version: '3.25.56', from: 'zod/v4' },
  { version: '3.25.76', from: 'zod/v4' },
  { version: '4.0.0', from: 'zod' },
  { version: '4.1.0', from: 'zod' },
  { version: '4.3.0', from: 'zod' },
  { version: 'latest', from: 'zod' },
]

/** What a user writes, with all that types can get wrong: bytes, defaults, transforms, answers, services, configs. */
const shopOf = (from: string) => `
import { bytes, defineContract, gate, observe, respond, service, transform, u32, u64 } from 'hookring/contracts'
import { z } from '${from}'

const order = z.object({
  id: bytes(16),
  customer: z.string().min(1),
  cents: u32(),
  serial: u64().optional(),
  coupon: z.string().optional(),
  express: z.boolean().default(false),
  lines: z.array(z.object({ sku: z.string().regex(/^[a-z]+$/), count: z.number().int().min(1).max(99) })).max(50),
  payment: z.discriminatedUnion('by', [
    z.object({ by: z.literal('card'), last: z.string().length(4) }),
    z.object({ by: z.literal('cash'), change: z.union([z.number(), z.null()]) }),
  ]),
  tags: z.record(z.string(), z.string()),
  limits: z.partialRecord(z.enum(['low', 'high']), z.number()),
  placed: z.date().nullable(),
})

export const shop = defineContract(
  'shop',
  1,
  {
    onOrder: gate(order),
    onPrice: respond(z.object({ cents: u32() }), z.object({ cents: u32() })),
    onRewrite: transform(z.object({ note: z.string(), at: u32() })),
    onPaid: observe(z.object({ cents: u32() })),
  },
  { services: { audit: service(z.object({ text: z.string() }), z.void()) } },
)
`

const pluginOf = (from: string) => `
import { definePlugin, reject, replace } from 'hookring/plugin'
import { z } from '${from}'
import { shop } from './shop.js'

export default definePlugin(shop, {
  name: 'limits',
  config: z.object({ most: z.number(), greeting: z.string().default('sorry') }),
  setup: ({ config, services }) => ({
    async onOrder({ customer, cents, lines, express, id }) {
      await services.audit?.({ text: customer.toUpperCase() })
      const count: number = lines.reduce((sum, line) => sum + line.count, id.length * 0)
      const isExpress: boolean = express
      return cents * count > config.most && !isExpress ? reject(config.greeting.toUpperCase()) : undefined
    },
    onPrice: ({ cents }) => ({ cents: cents + 1 }),
    onRewrite: (event) => replace({ ...event.copy(), note: event.note.trim() }),
    onPaid: () => {},
  }),
})
`

const SERVER = `
import { createHookEngine, type HookEngine } from 'hookring'
import type { EventInput, VerdictOf } from 'hookring/contracts'
import { generateEvents, runInline } from 'hookring/testing'
import limits from './plugin.js'
import { shop } from './shop.js'

const audited: string[] = []
const engine: HookEngine<typeof shop.hookpoints, typeof shop.services> = await createHookEngine({
  contract: shop,
  services: { audit: ({ text }) => void audited.push(text) },
  plugins: [{
    from: new URL('./plugin.js', import.meta.url),
    config: { most: 100 },
    ...(process.argv[2] === undefined ? { services: ['audit' as const] } : { trust: 'untrusted' as const, timeoutMs: 5_000 }),
  }],
})
const order: EventInput<typeof shop.hookpoints.onOrder> = {
  id: new Uint8Array(16), customer: 'ada', cents: 60, lines: [{ sku: 'tea', count: 2 }], tags: {}, placed: null,
  limits: { low: 1 }, payment: { by: 'card', last: '4242' },
}
const verdict: VerdictOf<typeof shop.hookpoints.onOrder> = await engine.hooks.onOrder(order)
const said = verdict.kind === 'reject' ? verdict.reason : verdict.kind
const price = await engine.hooks.onPrice({ cents: 1 })
const cents: number = price.kind === 'respond' ? price.value.cents : 0
const rewritten = await engine.hooks.onRewrite({ note: ' x ', at: 1 })
const note: string = rewritten.kind === 'replace' ? rewritten.event.note : ''
const wrong = await engine.hooks.onOrder({ ...order, payment: { by: 'card', last: '42' } }).catch((error) => error.code)
await engine.close()

const inline = await runInline(limits, { contract: shop, config: { most: 1 } })
const alone = await inline.hooks.onOrder(order)
await inline.close()
const made = generateEvents(shop, 'onOrder', { seed: 7 })
for (let count = 0; count < 50; count++) made()
console.log(JSON.stringify([said, cents, note, wrong, audited, alone.kind]))
`

/** Each line must be refused: what is wrong in types stays wrong, whatever the version. */
const wrongOf = (from: string) => `
import { gate } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { z } from '${from}'
import { shop } from './shop.js'
// @ts-expect-error: no schema
gate({ type: 'string' })
// @ts-expect-error: of another type
definePlugin(shop, { name: 'p', config: z.object({ most: z.number() }), setup: ({ config }) => ({ onOrder: () => config.most.trim() }) })
// @ts-expect-error: a gate answers nothing
definePlugin(shop, { name: 'p', setup: () => ({ onOrder: () => ({ cents: 1 }) }) })
// @ts-expect-error: no config was declared
definePlugin(shop, { name: 'p', setup: ({ config }) => ({ onOrder: () => void config.most }) })
`

let folder: string
let tarball: string

beforeAll(async () => {
  const pack = await packed('zod')
  folder = pack.folder
  tarball = pack.tarball
  await lend(folder, ['typescript', '@types/node', 'undici-types', 'esbuild', '@jitl/quickjs-ng-wasmfile-release-sync'])
}, 60_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe.each(VERSIONS)('with zod $version', ({ version, from }) => {
  let project: string
  const expectedWith = (audited: string[]) => ['SORRY', 2, 'x', 'EVENT_INVALID', audited, 'reject']

  beforeAll(async () => {
    project = join(folder, `zod-${version}`)
    await write(project, {
      'shop.ts': shopOf(from),
      'plugin.ts': pluginOf(from),
      'server.ts': SERVER,
      'wrong.ts': wrongOf(from),
    })
    await install(project, [tarball, `zod@${version}`])
  }, 120_000)

  test('there is one copy of it', async () => {
    const { version: found } = JSON.parse(await readFile(join(project, 'node_modules/zod/package.json'), 'utf8'))
    if (version !== 'latest') expect(found).toBe(version)
    await expect(readFile(join(project, 'node_modules/hookring/node_modules/zod/package.json'))).rejects.toThrow(
      'ENOENT',
    )
  })

  test("types fit, and hookring's own declarations too", async () => {
    const tsc = join(folder, 'node_modules/typescript/bin/tsc')
    const { code, stdout } = await node(
      [tsc, ...STRICT_FLAGS, 'server.ts', 'plugin.ts', 'shop.ts', 'wrong.ts'],
      project,
    )
    expect(code, stdout).toBe(0)
  }, 120_000)

  test('an engine runs a plugin in a lane of the trusted', async () => {
    const { code, stdout, stderr } = await node(['server.js'], project)
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toEqual(expectedWith(['ADA']))
  })

  test('and bundled, in QuickJS', async () => {
    const { code, stdout, stderr } = await node(['server.js', 'untrusted'], project)
    expect(code, stderr).toBe(0)
    expect(JSON.parse(stdout)).toEqual(expectedWith([]))
  })
})

// (Whether a field may be left out is between the copies, where a schema of one is inside an object of the other.)
test('a second copy of another version, as a contract from elsewhere may bring it, fits as well', async () => {
  const project = join(folder, 'two')
  await install(project, [tarball, 'zod@latest', 'older@npm:zod@4.0.0'])
  await write(project, {
    'shop.ts': shopOf('older'),
    'plugin.ts': pluginOf('zod'),
    'server.ts': SERVER.replace('tags: {}', '$&, serial: 1'),
  })
  const tsc = join(folder, 'node_modules/typescript/bin/tsc')
  const checked = await node([tsc, ...STRICT_FLAGS, 'server.ts'], project)
  expect(checked.code, checked.stdout).toBe(0)
  const { code, stdout, stderr } = await node(['server.js'], project)
  expect(code, stderr).toBe(0)
  expect(JSON.parse(stdout)[0]).toBe('SORRY')
}, 120_000)

describe('a schema of zod 3 is refused, and the error says so', () => {
  const HEAD = `
    import { z } from 'zod'
    import { z as z4 } from 'zod/v4'
    import { defineContract, gate, respond, service } from 'hookring/contracts'
    import { definePlugin } from 'hookring/plugin'
    import { runInline } from 'hookring/testing'
    const shop = defineContract('shop', 1, { onOrder: gate(z4.object({ a: z4.string() })) })
  `
  const CASES = [
    ['as an event', `defineContract('x', 1, { onOrder: gate(z.object({ a: z.string() })) })`, 'onOrder'],
    ['inside an event', `defineContract('x', 1, { onOrder: gate(z4.object({ a: z.string() })) })`, 'onOrder.a'],
    ['as an answer', `defineContract('x', 1, { onAsk: respond(z4.object({}), z.object({})) })`, 'onAsk.reply'],
    [
      'as what a service takes',
      `defineContract('x', 1, { onOrder: gate(z4.object({})) }, { services: { tell: service(z.string(), z4.void()) } })`,
      'services: tell: input',
    ],
    [
      'as a config',
      `await runInline(definePlugin(shop, { name: 'p', config: z.object({}), setup: () => ({}) }), { contract: shop, config: {} })`,
      'its config schema',
    ],
  ] as const

  test.each(CASES)('%s', async (_, code, where) => {
    const project = join(folder, 'zod-3.25.76')
    await write(project, {
      'old.mjs': `${HEAD}try { ${code} } catch (error) { console.log(error.code, error.message) }`,
    })
    const { stdout, stderr } = await node(['old.mjs'], project)
    expect(stdout, stderr).toMatch(/^ZOD_TOO_OLD /)
    expect(stdout).toContain(`${where}: a schema of zod 3; use zod 4`)
  })
})
