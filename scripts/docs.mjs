/**
 * `npm run docs`: builds the site of docs/ into docs/.vitepress/dist. `npm run docs -- --preview` serves what was built.
 *
 * The pages are staged in .cache/site: those of docs/, the API reference, and what the pages link to in the rest of the
 * repository (SECURITY.md, examples and so on) under project/. A link to a file that is no page keeps its text alone.
 */
import { spawn } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { errorEntries } from '../dist/cli/explain/entries.js'
import { ROOT } from './compile.mjs'
import { replaceLinks } from './links.mjs'
import { apiPages } from './reference/page-api.mjs'

const SITE = join(ROOT, '.cache', 'site')

async function stage() {
  await rm(SITE, { recursive: true, force: true })
  const pages = (await readdir(join(ROOT, 'docs'), { recursive: true }))
    .filter((name) => name.endsWith('.md') && !name.startsWith('.vitepress'))
    .map((name) => join('docs', name))
  const waiting = [...pages, 'CHANGELOG.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', 'SECURITY.md']
  const done = new Set()
  while (waiting.length > 0) {
    const source = waiting.pop()
    if (done.has(source)) continue
    done.add(source)
    if (source.endsWith('.md')) waiting.push(...(await stagePage(source)))
    else await copy(source)
  }
  const codes = new Set(errorEntries().map(({ code }) => code))
  const doors = apiPages(codes)
  for (const { slug, page } of doors) await write(join('reference', 'api', `${slug}.md`), page)
  await write(
    'api.json',
    JSON.stringify(doors.map(({ name, slug }) => ({ text: name, link: `/reference/api/${slug}` }))),
  )
}

/** Writes a page with its links as the site has them; returns what it leads to. */
async function stagePage(source) {
  const own = placeOf(source)
  const next = []
  const text = replaceLinks(await readFile(join(ROOT, source), 'utf8'), (link, { text: shown, target }) => {
    if (/^[a-z][a-z0-9+.-]*:|^#/i.test(target)) return link
    const [path, anchor] = target.split('#')
    const linked = join(dirname(source), decodeURIComponent(path))
    if (!/\.(md|svg|png)$/.test(linked)) return shown
    next.push(linked)
    const to = relative(dirname(own), placeOf(linked))
    return link.replace(
      `](${target}`,
      `](${to.startsWith('.') ? to : `./${to}`}${anchor === undefined ? '' : `#${anchor}`}`,
    )
  })
  await write(own, source === join('docs', 'README.md') ? home(text) : text)
  return next
}

/** Where a file of the repository is on the site. */
function placeOf(source) {
  if (source === 'README.md' || source === join('docs', 'README.md')) return 'index.md'
  if (source.startsWith('docs/')) return source.slice('docs/'.length)
  const name = source
    .toLowerCase()
    .replace(/\/readme\.md$/, '.md')
    .replaceAll('/', '-')
  return join('project', name)
}

/** The page of contents of docs/, as the site's first page. */
function home(text) {
  // Title and first paragraph are the hero's.
  const [, rest] = /^# .*\n\n[\s\S]*?\n\n([\s\S]*)$/.exec(text)
  return `---
layout: home
hero:
  name: hookring
  text: Other people's code at your server's hook points
  tagline: A plugin that is slow, stuck, leaking, crashing or hostile costs a bounded wait and a decision made beforehand, never the event loop.
  actions:
    - { theme: brand, text: Get started, link: /guide/getting-started }
    - { theme: alt, text: Concepts, link: /guide/concepts }
    - { theme: alt, text: Benchmarks, link: /benchmarks }
---

<div class="vp-doc contents">

${rest}
</div>
`
}

async function copy(source) {
  await mkdir(dirname(join(SITE, placeOf(source))), { recursive: true })
  await cp(join(ROOT, source), join(SITE, placeOf(source)))
}

async function write(name, text) {
  await mkdir(dirname(join(SITE, name)), { recursive: true })
  await writeFile(join(SITE, name), text)
}

function vitepress(command) {
  const program = join(ROOT, 'node_modules', 'vitepress', 'bin', 'vitepress.js')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, command, 'docs'], { cwd: ROOT, stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

if (process.argv.includes('--preview')) {
  process.exitCode = await vitepress('preview')
} else {
  await stage()
  process.exitCode = await vitepress('build')
}
