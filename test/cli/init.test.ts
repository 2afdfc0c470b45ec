/**
 * `hookring init`: the projects that it makes pass their own tests, compile, end when they are told to, and take one more
 * plugin. They find packages in this tree; package/tarball.test.ts installs them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lend, node, ROOT } from '../support/tarball.js'

const COMMAND = join(ROOT, 'dist/cli/main.js')
const { version, devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
  version: string
  devDependencies: Record<string, string>
}

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hookring-init-'))
  await lend(folder, ['@types/node', 'fastify', 'fastify-plugin', 'typescript', 'zod'])
  await symlink(ROOT, join(folder, 'node_modules', 'hookring'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

const init = (args: readonly string[], cwd = folder) => node([COMMAND, 'init', ...args], cwd)

const COMMENTS = {
  options: [],
  packages: ['hookring', 'zod'],
  // A contract in TypeScript is read as it is compiled.
  contract: { js: [], ts: ['--contract', './dist/contract.js'] },
  plugin: { js: 'plugins/spam-filter.js', ts: 'plugins/spam-filter.js' },
}
const HTTP = {
  options: ['--http'],
  packages: ['fastify', 'fastify-plugin', 'hookring', 'zod'],
  contract: { js: ['--contract', 'http'], ts: ['--contract', 'http'] },
  plugin: { js: 'plugins/spam-filter.js', ts: 'plugins/spam-filter.ts' },
}

describe.each([
  { name: 'comments', ...COMMENTS, ending: 'js' },
  { name: 'comments in TypeScript', ...COMMENTS, ending: 'ts' },
  { name: 'http', ...HTTP, ending: 'js' },
  { name: 'http in TypeScript', ...HTTP, ending: 'ts' },
] as const)('a project: $name', ({ options, packages, contract, plugin, ending }) => {
  const isTypeScript = ending === 'ts'
  const compile = () => node([join(ROOT, 'node_modules/typescript/bin/tsc')], project)
  let project: string
  /** Where its JavaScript is. */
  let compiled: string

  beforeAll(async () => {
    project = join(folder, ['made', ...options, ending].join('-'))
    compiled = join(project, isTypeScript ? 'dist' : '.')
    const made = await init([project, ...options, ...(isTypeScript ? ['--typescript'] : [])])
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(made.stdout).toContain(`app.${ending}`)
    if (isTypeScript) expect(await compile()).toEqual({ code: 0, stdout: '', stderr: '' })
  }, 60_000)

  test('names packages in the versions that this one is tested with', async () => {
    const { dependencies } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'))
    const versions = { ...devDependencies, hookring: `^${version}` } as Record<string, string>
    expect(dependencies).toEqual(Object.fromEntries(packages.map((name) => [name, versions[name]])))
  })

  test('passes its own tests', async () => {
    const { code, stdout } = await node(['--test'], compiled)
    expect(code, stdout).toBe(0)
    expect(stdout).toMatch(/pass 2/)
  }, 60_000)

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'ends in order when %s comes with the news that it listens',
    async (signal) => {
      const child = spawn(process.execPath, [join(compiled, 'server.js')], {
        cwd: project,
        env: { ...process.env, NODE_OPTIONS: '', PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let stdout = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (!stdout.includes('listening on') && `${stdout}${text}`.includes('listening on')) child.kill(signal)
        stdout += text
      })
      expect(await once(child, 'close'), stdout).toEqual([0, null])
      expect(stdout).toContain('listening on')
    },
    30_000,
  )

  test('takes a plugin more, which an engine loads', async () => {
    const args = ['plugin', 'spam-filter', ...contract[ending]]
    const { code, stdout, stderr } = await init(args, project)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const file = plugin[ending]
    expect(stdout.split('\n')[0]).toBe(file)
    const isCompiled = file.endsWith('.ts')
    expect(stdout).toContain(isCompiled ? "new URL('./plugins/spam-filter.js', import.meta.url)" : `'./${file}'`)
    if (isCompiled) expect(await compile()).toEqual({ code: 0, stdout: '', stderr: '' })
    const checked = ['check', isCompiled ? './dist/plugins/spam-filter.js' : `./${file}`, '--events', '10']
    expect(await node([COMMAND, ...checked], project)).toMatchObject({ code: 0 })
    expect(await init(args, project)).toMatchObject({ code: 2, stderr: expect.stringContaining('is there already') })
  }, 60_000)
})

/** Starts the server, sends one comment, prints the status. */
const ASK = `
import { startServer } from './app.js'
const { server, close } = await startServer({ port: 0, timeoutMs: 10_000 })
const body = '{ "author": "ada", "text": "hello" }'
console.log((await fetch('http://127.0.0.1:' + server.address().port, { method: 'POST', body })).status)
await close()
`

test.each([
  { policy: 'deny', status: '503' },
  { policy: 'allow', status: '201' },
])(
  'a comment is answered with $status if a plugin fails and its policy is to $policy',
  async ({ policy, status }) => {
    const project = join(folder, `failing-${policy}`)
    expect(await init([project])).toMatchObject({ code: 0, stderr: '' })
    await change(join(project, 'plugins/max-length.js'), 'onComment({ text }) {', "$& throw new Error('broken')")
    await change(join(project, 'app.js'), 'config: { characters: 280 }', `$&, onFailure: '${policy}'`)
    await writeFile(join(project, 'ask.mjs'), ASK)
    const { code, stdout } = await node(['ask.mjs'], project)
    expect({ code, status: stdout.trim().split('\n').at(-1) }).toEqual({ code: 0, status })
  },
  30_000,
)

async function change(file: string, text: string, replacement: string): Promise<void> {
  const before = await readFile(file, 'utf8')
  expect(before).toContain(text)
  await writeFile(file, before.replace(text, replacement))
}

test('init writes over nothing', async () => {
  const full = join(folder, 'full')
  await mkdir(full)
  await writeFile(join(full, 'mine.txt'), 'mine')
  for (const options of [[], ['--http']]) {
    expect(await init([full, ...options])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('FOLDER_NOT_EMPTY'),
    })
  }
})

test('a plugin for a contract that is not there is not made', async () => {
  const unknown = await init(['plugin', 'spam-filter', '--contract', 'htpp'])
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('no contract htpp ships with hookring') })
  expect(unknown.stderr).toContain('http@1')
  const unsaid = await init(['plugin', 'spam-filter'])
  expect(unsaid).toMatchObject({ code: 2, stderr: expect.stringContaining('--contract http') })
})
