/**
 * Every relative link and image of the Markdown pages leads to a file that there is, and to a heading in it. What README links
 * to is in the package. `node scripts/links.mjs [ROOT]`, or called by scripts/check.mjs; prints what is wrong, exits with 1.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { slugOf } from './reference/markdown.mjs'

const FOLDERS = ['docs', 'bench', 'examples', 'sdk', 'templates']
/** npm puts these into every package. */
const ALWAYS_PACKED = ['README.md', 'LICENSE', 'package.json']

/** What is wrong, one line each. */
export async function brokenLinks(root) {
  const { files: packed } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const problems = []
  for (const page of await pagesOf(root)) {
    for (const { target, line } of linksOf(readFileSync(join(root, page), 'utf8'))) {
      const problem = problemOf({ root, page, target, packed })
      if (problem !== null) problems.push(`${page}:${line}: ${target}: ${problem}`)
    }
  }
  return problems
}

async function pagesOf(root) {
  const own = (await readdir(root)).filter((name) => name.endsWith('.md'))
  const below = await Promise.all(
    FOLDERS.filter((folder) => existsSync(join(root, folder))).map(async (folder) =>
      (await readdir(join(root, folder), { recursive: true })).map((name) => join(folder, name)),
    ),
  )
  return [...own, ...below.flat().filter((name) => name.endsWith('.md') && !name.includes('node_modules'))].sort()
}

/** Links and images outside of code: `[text](target)`, and definitions, `[name]: target`. */
export function linksOf(text) {
  const links = []
  const lines = textOnly(text).split('\n')
  for (const [index, line] of lines.entries()) {
    for (const [, target] of line.matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g))
      links.push({ target, line: index + 1 })
    const [, defined] = /^\s*\[[^\]]+\]:\s*(\S+)/.exec(line) ?? []
    if (defined !== undefined) links.push({ target: defined, line: index + 1 })
  }
  return links.filter(({ target }) => !/^[a-z][a-z0-9+.-]*:/i.test(target))
}

/** A page with each link or image outside of code replaced by what `replace(link, { text, target })` returns. */
export function replaceLinks(text, replace) {
  const plain = textOnly(text)
  let result = ''
  let end = 0
  for (const match of text.matchAll(/!?\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^\s)]+)[^)]*\)/g)) {
    // What stands in a block of code or a comment is blank there.
    if (plain[match.index] !== text[match.index]) continue
    const [link, shown, target] = match
    result += text.slice(end, match.index) + replace(link, { text: shown, target })
    end = match.index + link.length
  }
  return result + text.slice(end)
}

/** Anchors of a page: one for each heading, numbered where a title comes again. */
export function anchorsOf(text) {
  const anchors = new Set()
  for (const [, title] of textOnly(text, { keepsCode: true }).matchAll(/^#{1,6}\s+(.*?)\s*#*$/gm)) {
    const slug = slugOf(title)
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  return anchors
}

/** Blocks of code, comments and code in lines become blank; line numbers stay. */
function textOnly(text, { keepsCode = false } = {}) {
  const blank = (match) => match.replaceAll(/[^\n]/g, ' ')
  const withoutBlocks = text
    .replaceAll(/^( *)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1\2[^\n]*$/gm, blank)
    .replaceAll(/<!--[\s\S]*?-->/g, blank)
  return keepsCode ? withoutBlocks : withoutBlocks.replaceAll(/(`+)(?!`)[^\n]*?[^`]\1(?!`)/g, blank)
}

function problemOf({ root, page, target, packed }) {
  const [path, anchor] = target.split('#')
  const file = path === '' ? page : relative(root, join(root, dirname(page), decodeURIComponent(path)))
  if (file.startsWith('..')) return 'leads out of the repository'
  if (!existsSync(join(root, file))) return 'there is no such file'
  if (page === 'README.md' && path !== '' && !isPacked(file, packed)) return 'is not in the package'
  if (anchor === undefined) return null
  if (!file.endsWith('.md') || !statSync(join(root, file)).isFile()) return 'only pages have anchors'
  if (anchorsOf(readFileSync(join(root, file), 'utf8')).has(decodeURIComponent(anchor))) return null
  return 'there is no such heading'
}

function isPacked(file, packed) {
  if (packed.includes(`!${file}`)) return false
  return ALWAYS_PACKED.includes(file) || packed.some((entry) => file === entry || file.startsWith(`${entry}/`))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [root = fileURLToPath(new URL('..', import.meta.url))] = process.argv.slice(2)
  const problems = await brokenLinks(root)
  for (const problem of problems) process.stdout.write(`${problem}\n`)
  if (problems.length > 0) process.exitCode = 1
}
