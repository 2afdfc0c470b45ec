/**
 * README.md keeps its word: its samples type-check and run, and its tables list what there is.
 *
 * A sample is a fenced block with a file name behind its language. One that stands in examples/ is the same as that file;
 * the others are written into one folder and run from there, as a reader would.
 */
import { spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { createHookEngine, ERROR_CODES } from 'hookring'
import { delivery } from 'hookring/contracts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DEFAULTS } from '../../dist/contracts/options.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
// Inside the package, so that `hookring` is found by its own name.
const FOLDER = join(ROOT, '.cache', `readme-${process.pid}`)
const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
const samples = new Map(
  [...readme.matchAll(/^```(?:ts|js) (\S+)\n(.*?)^```$/gms)].map(([, file, code]) => [file as string, code as string]),
)
const own = [...samples].filter(([file]) => !file.startsWith('examples/'))

beforeAll(async () => {
  for (const [file, code] of own) {
    await mkdir(dirname(join(FOLDER, file)), { recursive: true })
    await writeFile(join(FOLDER, file), code)
    // `await using` is lowered: Node.js 20 does not know it.
    const { code: lowered } = await transform(code, { loader: 'ts', format: 'esm', target: 'node20' })
    await writeFile(join(FOLDER, file.replace(/\.ts$/, '.js')), lowered)
  }
  const extended = { extends: '../../tsconfig.base.json', compilerOptions: { noEmit: true }, include: ['**/*.ts'] }
  await writeFile(join(FOLDER, 'tsconfig.json'), JSON.stringify(extended))
})

afterAll(() => rm(FOLDER, { recursive: true, force: true }))

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function run(args: readonly string[], cwd = FOLDER): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd, timeout: 20_000 })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

test('every block of code has a file name, and those of the examples are the examples', async () => {
  expect(readme.match(/^```(?:ts|js)\b/gm)).toHaveLength(samples.size)
  const fromExamples = [...samples].filter(([file]) => file.startsWith('examples/'))
  expect(fromExamples.length).toBeGreaterThan(0)
  for (const [file, code] of fromExamples) expect(code, file).toBe(await readFile(join(ROOT, file), 'utf8'))
})

test('the samples type-check', async () => {
  const { code, stdout } = await run([join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', '.'])
  expect(stdout).toBe('')
  expect(code).toBe(0)
})

const PRINTED: Readonly<Record<string, readonly string[]>> = {
  'shop-server.ts': ['6000 post'],
  'guarded-server.ts': ['coupons (trusted, enforce)', 'coupons-next (coupons-next-1, shadow)'],
  'changes.ts': [],
  'observed-server.ts': ['onOrder order-2 continue', 'hookring_calls_total{', 'hookring_zombies{'],
  'untrusted-server.ts': ['continue'],
  'notifying-server.ts': ['large-orders to sales: ada orders for 2000000 cents'],
  'recorded-server.ts': ['onOrder 12000'],
  'coupons.test.ts': ['pass 2', 'fail 0'],
  'grpc-server.ts': [],
  'mqtt-broker.ts': ['news/today hello'],
  'connection-server.ts': ['told hello', 'ada', "{ evaluated: 'orders' }", 'CREDENTIALS_REFUSED'],
  'hookring.config.ts': [],
}

const CONTRACTS = new Set(['shop.ts', 'orders.ts'])

const programs = own.map(([file]) => file).filter((file) => !CONTRACTS.has(file) && !file.startsWith('plugins/'))

test.each(programs)('%s runs, prints what it should and ends by itself', async (file) => {
  const { code, stdout, stderr } = await run([file.replace(/\.ts$/, '.js')])
  // Lines of the default logger: what the plugin logs, and that the operator has quarantined it.
  const errors = stderr.replaceAll(/^\[hookring coupons\] (?:info: .*|warn: quarantined by operator .*)\n/gm, '')
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  const expected = PRINTED[file]
  expect(expected, `what ${file} prints`).toBeDefined()
  for (const text of expected ?? []) expect(stdout).toContain(text)
})

test('the first plugin and its test run', async () => {
  const server = await run(['examples/first-plugin/server.mjs'], ROOT)
  expect(server).toEqual({
    code: 0,
    stdout: 'stored\nmax-payload: 100000 bytes, at most 65536 are allowed\n',
    stderr: '',
  })
  const printed = server.stdout.trimEnd().split('\n')
  for (const line of printed) expect(readme).toContain(line)
  expect((await run(['--test', 'examples/first-plugin/max-payload.test.mjs'], ROOT)).code).toBe(0)
})

test('the tables of options name the defaults', () => {
  const row = (option: string) =>
    readme.match(new RegExp(`^\\| \`${option.replace('.', '\\.')}\` \\| (.*?) \\|`, 'm'))?.[1]
  const plain = [
    'timeoutMs',
    'hangMs',
    'terminateGraceMs',
    'setupTimeoutMs',
    'shutdownTimeoutMs',
    'closeTimeoutMs',
    'maxEventBytes',
    'maxServiceBytes',
    'workers',
    'spares',
  ] as const
  for (const option of plain) expect(row(option), option).toBe(String(DEFAULTS[option]))
  expect(row('spinUs')).toBe(String(DEFAULTS.adaptiveSpinUs))
  expect(row('limits.memoryMb')).toBe(String(DEFAULTS.memoryMb))
  expect(row('limits.concurrency')).toBe(String(DEFAULTS.concurrency))
  expect(row('limits.slots')).toBe(String(DEFAULTS.slots))
  expect(row('limits.queue')).toBe(String(DEFAULTS.maxQueue))
  expect(row('quarantine')).toBe(
    `\`{ windowMs: ${DEFAULTS.quarantineWindowMs}, minFailures: ${DEFAULTS.quarantineMinFailures}, ` +
      `ratio: ${DEFAULTS.quarantineRatio}, cooldownMs: ${DEFAULTS.quarantineCooldownMs} }\``,
  )
  expect(row('limits')).toBe(
    `\`{ memoryMb: ${DEFAULTS.memoryMb}, concurrency: ${DEFAULTS.concurrency}, queue: ${DEFAULTS.maxQueue}, slots: ${DEFAULTS.slots} }\``,
  )
  expect(readme).toContain(`(default ${DEFAULTS.maxReplyBytes})`)
})

test('the table of metrics lists every metric, and no other', async () => {
  await using engine = await createHookEngine({ contract: delivery, spares: 0 })
  const exposed = [...(await engine.registry.metrics()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
  const listed = [...readme.matchAll(/^\| `(hookring_\w+)` \|/gm)].map(([, name]) => name)
  expect(listed.sort()).toEqual(exposed.sort())
})

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'SECURITY.md', 'CHANGELOG.md', 'examples/first-plugin/README.md']

test('every code of an error that the documents name exists', async () => {
  const codes = Object.keys(ERROR_CODES)
  const firstWords = new Set(codes.map((code) => code.split('_')[0]))
  for (const file of DOCUMENTS) {
    const text = await readFile(join(ROOT, file), 'utf8')
    for (const [, code] of text.matchAll(/`([A-Z]+_[A-Z_]+)`/g)) {
      const isCode = code !== 'ERROR_CODES' && firstWords.has((code as string).split('_')[0] as string)
      if (isCode) expect(codes, `${file} names ${code}`).toContain(code)
    }
  }
})

test('every section that the readme links to exists', () => {
  const slugs = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    (title as string)
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  )
  for (const [, anchor] of readme.matchAll(/\]\(#([^)]*)\)/g)) expect(slugs).toContain(anchor)
})

const LINK = /\]\(([^)#:\s]+)(?:#[^)]*)?\)/g
const SOURCE = /`((?:src|scripts|bench|test)\/[\w./-]+\.(?:ts|mjs|grit))`/g

test('every file that the documents name exists', async () => {
  for (const file of DOCUMENTS) {
    const text = await readFile(join(ROOT, file), 'utf8')
    const links = [...text.matchAll(LINK)].map(([, link]) => join(dirname(file), link as string))
    const sources = [...text.matchAll(SOURCE)].map(([, source]) => source as string)
    for (const path of [...links, ...sources]) {
      await expect(readFile(join(ROOT, path)), `${file} names ${path}`).resolves.toBeDefined()
    }
  }
})
