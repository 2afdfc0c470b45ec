/**
 * README and docs/ as a reader uses them: each page is a project with the packed tarball, its files are type-checked, its
 * commands and programs run, what they print is compared with what the page shows. CONTRIBUTING.md has the convention.
 * `SNIPPETS=getting-started` takes the pages whose names have that in them; HOOKRING_NODES names further Node.js binaries.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, cp, mkdir, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Page, readPage } from '../support/markdown-snippets.js'
import { PageProject } from '../support/page-project.js'
import { node, packed, ROOT, run, write } from '../support/tarball.js'

const NODES = [process.execPath, ...(process.env.HOOKRING_NODES ?? '').split(':').filter((path) => path !== '')]

const asked = process.env.SNIPPETS
const docs = (await readdir(join(ROOT, 'docs'), { recursive: true })).filter((path) => path.endsWith('.md'))
const names = ['README.md', ...docs.filter((path) => !/(^|\/)(node_modules|\.vitepress)\//.test(path)).sort()]
const pages = new Map<string, Page>([
  ['sample.md', readPage(await readFile(join(ROOT, 'test/fixtures/pages/sample.md'), 'utf8'))],
])
for (const name of names) {
  pages.set(name, readPage(await readFile(join(ROOT, name === 'README.md' ? '.' : 'docs', name), 'utf8')))
}
const chosen = [...pages].filter(([name]) => asked === undefined || name.includes(asked))

const slug = (name: string) => name.replace(/\.md$/, '').replaceAll('/', '-')

let folder: string
let typeErrors = ''

const TSCONFIG = {
  compilerOptions: {
    ...{ target: 'es2023', module: 'nodenext', types: ['node'], strict: true, skipLibCheck: true, allowJs: true },
    ...{ rewriteRelativeImportExtensions: true, erasableSyntaxOnly: true, verbatimModuleSyntax: true },
    ...{ rootDir: 'pages', outDir: 'compiled' },
  },
  include: ['pages/**/*.ts', 'pages/**/*.mjs', 'pages/**/*.js'],
}

beforeAll(async () => {
  const pack = await packed('snippets')
  folder = pack.folder
  await shareModules(pack.tarball)
  for (const [name, page] of pages) await layOut(name, page)
  await write(folder, { 'tsconfig.json': JSON.stringify(TSCONFIG), 'compiled/package.json': '{ "type": "module" }' })
  typeErrors = (await node([join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', '.', '--pretty', 'false'], folder))
    .stdout
  // What else a page's files lie beside: plugins in C, configs.
  for (const name of pages.keys()) {
    const isOther = (path: string) => !/\.(?:ts|[cm]?js)$/.test(path) && basename(path) !== 'package.json'
    await cp(join(folder, 'pages', slug(name)), join(folder, 'compiled', slug(name)), {
      recursive: true,
      filter: (path) => isOther(path),
    })
  }
}, 240_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** What this tree has installed, and the tarball in place of the tree. */
async function shareModules(tarball: string): Promise<void> {
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, 'hookring'), { recursive: true })
  await run('tar', ['xzf', tarball, '--strip-components=1', '-C', join(modules, 'hookring')], folder)
  for (const name of await readdir(join(ROOT, 'node_modules'))) {
    if (name === '.bin' || name === 'hookring') continue
    // An untrusted plugin's packages are read where they stand, and a link out of there is refused.
    if (name === 'zod') await cp(join(ROOT, 'node_modules/zod'), join(modules, 'zod'), { recursive: true })
    else await symlink(join(ROOT, 'node_modules', name), join(modules, name))
  }
  await mkdir(join(modules, '.bin'))
  for (const name of await readdir(join(ROOT, 'node_modules/.bin'))) {
    await symlink(join(ROOT, 'node_modules/.bin', name), join(modules, '.bin', name))
  }
  await rm(join(modules, '.bin/hookring'), { force: true })
  // As npm does it when it installs.
  await chmod(join(modules, 'hookring/dist/cli/main.js'), 0o755)
  await symlink('../hookring/dist/cli/main.js', join(modules, '.bin/hookring'))
}

/** Writes a page's files for the type checker; a file that the page changes is checked in each of its states. */
async function layOut(name: string, page: Page): Promise<void> {
  const at = (state: number) => join('pages', state === 0 ? slug(name) : `${slug(name)}~${state}`)
  const files: Record<string, string> = { 'package.json': '{ "type": "module", "private": true }', ...filesOf(name) }
  let state = 0
  const before = { ...files }
  for (const { file, use, text, context, line, language } of page.snippets) {
    if (use === 'fragment' && (language === 'ts' || context !== null)) {
      files[`fragment-${line}.ts`] = `${context ?? ''}\n${text}\nexport {}\n`
    }
    if (file === null || use === 'skip') continue
    if (before[file] !== undefined && before[file] !== text) {
      state += 1
      await write(folder, prefixed(at(state), before))
    }
    before[file] = text
    files[file] = text
  }
  await write(folder, prefixed(at(0), files))
}

/** Those of the pages that it builds on, and what it hides. */
function filesOf(name: string): Record<string, string> {
  const page = pages.get(name)
  if (page === undefined) throw new Error(`${name}: there is no such page`)
  const files: Record<string, string> = {}
  for (const other of page.builtOn) {
    Object.assign(files, filesOf(other))
    for (const { file, use, text } of pages.get(other)?.snippets ?? []) {
      if (file !== null && use !== 'skip') files[file] = text
    }
  }
  return { ...files, ...page.hidden }
}

const prefixed = (path: string, files: Record<string, string>) =>
  Object.fromEntries(Object.entries(files).map(([file, text]) => [join(path, file), text]))

test.each(chosen)('%s says of each block what it is', (_, { problems }) => {
  expect(problems).toEqual([])
})

test.each(chosen)('%s passes the type checker', (name) => {
  const own = typeErrors.split('\n').filter((line) => new RegExp(`^pages/${slug(name)}(?:~\\d+)?/`).test(line))
  expect(own.map((line) => placed(name, line))).toEqual([])
})

const isInstalled = (program: string) => spawnSync(program, ['--version']).error === undefined

/** Of a fragment, the page's line. */
function placed(name: string, error: string): string {
  const [, line] = /fragment-(\d+)\.ts/.exec(error) ?? []
  return line === undefined ? error : `${name}:${line}: ${error}`
}

describe.each(NODES)('on %s', (binary) => {
  const major = Number(execFileSync(binary, ['-p', 'process.versions.node.split(".")[0]'], { encoding: 'utf8' }))

  test.for(chosen)('%s does what it says', { timeout: 240_000 }, async ([name, page], { skip }) => {
    for (const program of page.needs) skip(!isInstalled(program), `${program} is not installed`)
    const project = new PageProject({
      ...{ folder: join(folder, 'pages', slug(name)), compiled: join(folder, 'compiled', slug(name)) },
      ...{ shared: folder, binary, major },
    })
    const wrong: string[] = []
    try {
      for (const snippet of page.snippets) {
        const problem = await project.take(snippet)
        if (problem !== null) wrong.push(`${name}:${snippet.line}: ${problem}`)
      }
    } finally {
      const problem = await project.stop()
      if (problem !== null) wrong.push(`${name}: ${problem}`)
    }
    expect(wrong.join('\n')).toBe('')
  })
})
