/**
 * The package as it is published: packed, installed into an empty folder without what its developers have, and used as
 * README says. Needs a package registry; without one its tests are skipped, and say so.
 */
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { node, packed, ROOT, run } from '../support/tarball.js'

const page = await readFile(join(ROOT, 'docs/guide/getting-started.md'), 'utf8')
const { exports, dependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>
  dependencies: Record<string, string>
}
/** Doors that need nothing but hookring's own dependencies. */
const DOORS = ['.', './plugin', './contracts', './hooks', './http', './testing']

let folder: string
let tarball: string

beforeAll(async () => {
  ;({ folder, tarball } = await packed('tarball'))
}, 60_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** The first plugin of "Getting started", in the files that it names. */
async function writeFirstPlugin(project: string): Promise<void> {
  const blocks = [...page.matchAll(/^```js (plugins\/max-payload\.mjs|server\.mjs)(?: run)?\n(.*?)^```$/gms)]
  expect(blocks.map(([, file]) => file)).toEqual(['plugins/max-payload.mjs', 'server.mjs'])
  for (const [, file, code] of blocks) {
    await mkdir(dirname(join(project, file as string)), { recursive: true })
    await writeFile(join(project, file as string), code as string)
  }
  await cp(join(ROOT, 'examples/first-plugin/max-payload.test.mjs'), join(project, 'max-payload.test.mjs'))
}

const MANAGERS = [
  { manager: 'npm', install: ['npm', 'install', '--no-audit', '--no-fund', '--omit=dev'] },
  // Packages see only what they name: whoever forgets a dependency of his own fails here.
  { manager: 'pnpm', install: ['npx', '--yes', 'pnpm@10', 'add', '--prod'] },
] as const

describe.each(MANAGERS)('installed by $manager into an empty folder', ({ manager, install }) => {
  let project: string

  beforeAll(async () => {
    project = join(folder, manager)
    await mkdir(project)
    await writeFile(join(project, 'package.json'), '{ "name": "first", "private": true }\n')
    const [command, ...args] = install
    const installed = await run(command, [...args, tarball, 'zod'], project)
    expect(installed, `${installed.stdout}\n${installed.stderr}`).toMatchObject({ code: 0 })
    await writeFirstPlugin(project)
  }, 240_000)

  test('the first plugin runs', async () => {
    expect(await node(['server.mjs'], project)).toEqual({
      code: 0,
      stdout: 'stored\nmax-payload: 100000 bytes, at most 65536 are allowed\n',
      stderr: '',
    })
  })

  test('its test runs under the test runner of Node.js', async () => {
    const { code, stdout } = await node(['--test', 'max-payload.test.mjs'], project)
    expect(code, stdout).toBe(0)
  })

  test('its doors open by import, and by require', async () => {
    const names = DOORS.map((door) => door.replace('.', 'hookring'))
    for (const name of names) expect(Object.keys(exports)).toContain(name.replace('hookring', '.'))
    await writeFile(join(project, 'doors.mjs'), names.map((name) => `await import('${name}')`).join('\n'))
    await writeFile(join(project, 'doors.cjs'), names.map((name) => `require('${name}')`).join('\n'))
    expect(await node(['doors.mjs'], project)).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(await node(['--disable-warning=ExperimentalWarning', 'doors.cjs'], project)).toMatchObject({
      code: 0,
      stdout: '',
    })
  })

  test('the command checks a plugin', async () => {
    const command = join(project, 'node_modules/hookring/dist/cli/main.js')
    const { code, stdout } = await node(
      [command, 'check', './plugins/max-payload.mjs', '--config', '{"maxBytes":10}', '--events', '20'],
      project,
    )
    expect(stdout).toContain('max-payload')
    expect(code).toBe(0)
  })
})

// What else init does is in cli/init.test.ts.
describe.each([
  { name: 'comments', options: [] },
  { name: 'comments in TypeScript', options: ['--typescript'] },
  { name: 'http', options: ['--http'] },
  { name: 'http in TypeScript', options: ['--http', '--typescript'] },
])('a project made by init: $name', ({ options }) => {
  test('passes its own tests', async () => {
    const project = join(folder, ['made', ...options].join(''))
    const command = join(ROOT, 'dist/cli/main.js')
    expect(await node([command, 'init', project, ...options], folder)).toMatchObject({ code: 0, stderr: '' })
    // The version of this tree is in no registry.
    const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--include=dev', tarball]
    const installed = await run('npm', install, project)
    expect(installed, installed.stderr).toMatchObject({ code: 0 })
    const { code, stdout } = await run('npm', ['test'], project)
    expect(code, stdout).toBe(0)
    expect(stdout).toMatch(/pass 2/)
  }, 240_000)
})

test('it brings no dependency but its own few', () => {
  expect(Object.keys(dependencies).sort()).toEqual([
    'comlink',
    'commander',
    'import-meta-resolve',
    'piscina',
    'prom-client',
  ])
})
