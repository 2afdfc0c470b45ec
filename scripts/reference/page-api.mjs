/** The API reference of the site: what each door exports, as declared. From dist/**.d.ts; not kept in the repository. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from '../compile.mjs'
import { statementsOf } from './declarations.mjs'
import { linkCodes, prose } from './markdown.mjs'

/** Declarations that are longer are cut: schemas written out in types. */
const MOST_LINES = 60

/** `{ name, slug, page }` for each door that has types of its own. */
export function apiPages(codes) {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const doors = Object.entries(exports).filter(([door, target]) => target?.types !== undefined && !door.includes('*'))
  return doors.map(([door, { types }]) => {
    const name = door.replace('.', 'hookring')
    return { name, slug: name.replaceAll('/', '-'), page: pageOf(name, join(ROOT, types), codes) }
  })
}

function pageOf(name, file, codes) {
  const kinds = { function: [], const: [], class: [], interface: [], type: [] }
  for (const statement of exportsOf(file)) kinds[statement.kind]?.push(statement)
  const titles = [
    ['Functions', kinds.function],
    ['Classes', kinds.class],
    ['Values', kinds.const],
    ['Interfaces', kinds.interface],
    ['Types', kinds.type],
  ]
  const sections = titles
    .filter(([, statements]) => statements.length > 0)
    .map(([title, statements]) => `## ${title}\n\n${statements.map((each) => entryOf(each, codes)).join('\n\n')}`)
  return `# ${name}\n\nAs declared in the package's types.\n\n${sections.join('\n\n')}\n`
}

function entryOf({ name, code, doc }, codes) {
  const lines = code.split('\n')
  const shown = lines.length > MOST_LINES ? [...lines.slice(0, MOST_LINES), '  // …'] : lines
  const said =
    doc === ''
      ? ''
      : `${linkCodes(prose(doc).replaceAll('@throws HookringError', '**Throws** a HookringError,').replaceAll('@throws', '**Throws**'), codes, '../errors.md')}\n\n`
  return `### ${name}\n\n${said}\`\`\`ts\n${shown
    .join('\n')
    .replaceAll('export declare ', '')
    .replace(/^export /, '')}\n\`\`\``
}

/** What a declaration file exports, by whatever way, under the names that users see; in order, each once. */
function exportsOf(file, wanted = null, seen = new Map()) {
  const text = readFileSync(file, 'utf8')
  const pick = (name) => wanted === null || wanted.has(name)
  for (const statement of statementsOf(text)) {
    const isExported = /^export\b/.test(statement.code)
    const name = wanted?.get(statement.name) ?? statement.name
    if (isExported && pick(statement.name) && !seen.has(name)) seen.set(name, { ...statement, name })
  }
  for (const [, names, from] of text.matchAll(/^export (?:type )?(\*|\{[^}]*\}) from '([^']+)';$/gms)) {
    const next = namesIn(names, wanted)
    if (next !== null && next.size === 0) continue
    if (from.startsWith('.')) exportsOf(join(dirname(file), from.replace(/\.js$/, '.d.ts')), next, seen)
  }
  return [...seen.values()]
}

/** The names to look for behind `from`, each with the name that it goes by; null: all. */
function namesIn(names, wanted) {
  if (names === '*') return wanted
  const map = new Map()
  for (const part of names.slice(1, -1).split(',')) {
    const [, own, alias] = /^\s*(?:type\s+)?(\w+)(?:\s+as\s+(\w+))?\s*$/.exec(part) ?? []
    if (own === undefined) continue
    const shown = alias ?? own
    if (wanted === null) map.set(own, shown)
    else if (wanted.has(shown)) map.set(own, wanted.get(shown))
  }
  return map
}
