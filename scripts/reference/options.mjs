/** Tables of options: what is typed and explained in the declarations, with bounds and defaults from the schemas. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../compile.mjs'
import { membersOf } from './declarations.mjs'
import { code, linkCodes, prose, table } from './markdown.mjs'
import { factsOf, figure } from './schemas.mjs'

/**
 * @param {object} section
 * @param {{ file: string, name: string }[]} section.from declarations: interfaces of .d.ts files, or objects of schemas in .ts
 * @param {object} [section.schema] a zod schema of the same keys
 * @param {Record<string, { min: number, max: number, fallback: number }>} [section.numbers] bounds that stand in code
 * @param {Record<string, string>} [section.words] what the declarations leave out, by option
 * @param {string[]} [section.without] options that are told elsewhere
 * @param {boolean} [section.isResult] fields that are read, not given
 */
export function optionTable({ from, schema, numbers = {}, words = {}, without = [], isResult = false }, codes) {
  const facts = schema === undefined ? new Map() : factsOf(schema)
  const members = from.flatMap(readMembers).filter(({ name }) => !name.startsWith('...') && !without.includes(name))
  const rows = members.map((member) => {
    const fact = facts.get(member.name) ?? {}
    const { doc, said } = splitDefault(words[member.name] ?? member.doc)
    const bounds = numbers[member.name]
    const takes =
      bounds === undefined ? takenBy(member, fact) : `whole number, ${figure(bounds.min)} to ${figure(bounds.max)}`
    const fallback = bounds?.fallback ?? fact.fallback
    checkDefault(member.name, said, fallback)
    return [
      code(member.name),
      takes,
      said !== '' ? prose(said) : shownDefault(fallback, !isResult && isRequired(member, fact)),
      linkCodes(prose(withoutRange(doc, takes)), codes, 'errors.md'),
    ]
  })
  for (const [name, doc] of rows.map(([name, , , doc]) => [name, doc])) {
    if (doc === '')
      throw new Error(`the option ${name} of ${from.map((each) => each.name).join(', ')} says nothing of itself`)
  }
  return table(['option', 'takes', 'default', ''], rows)
}

/** The bounds stand in their own column. */
function withoutRange(doc, takes) {
  return /\d/.test(takes) ? doc.replace(/ \((?:above 0, )?(?:up to )?[\d,.]+(?: to [\d,.]+)?(?: [KM]iB)?\)/, '') : doc
}

const texts = new Map()
export function textOf(file) {
  if (!texts.has(file)) texts.set(file, readFileSync(join(ROOT, file), 'utf8'))
  return texts.get(file)
}

function readMembers({ file, name }) {
  return membersOf(textOf(file), name, file.endsWith('.d.ts') ? ';' : ',').map((member) => ({
    ...member,
    isSchema: !file.endsWith('.d.ts'),
  }))
}

function isRequired({ isOptional, isSchema, type }, fact) {
  return isSchema ? fact.fallback === undefined && !/\.(optional|default|prefault)\(/.test(type) : !isOptional
}

function takenBy({ type, isSchema, name }, { takes = '' }) {
  if (takes !== '') return takes
  if (isSchema) return /^aedesFunction|=> value === 'function'|typeof value === 'function'/.test(type) ? 'function' : ''
  if (/^(<|\()/.test(type)) return code(`${name}${type}`)
  return code(
    type
      .replace(/^\(([^()]*)\)$/, '$1')
      .replaceAll(/ \| undefined\b/g, '')
      .replaceAll(/import\([^)]*\)\./g, ''),
  )
}

/** The sentence that begins with `Default` stands in a column of its own. */
function splitDefault(doc) {
  const match = /(?:^|\s)Default:? ((?:`[^`]*`|\d[\d,.]*\d|[^.`]|\.(?=\S))*)\.(?:\s|$)/.exec(`${doc} `)
  if (match === null) return { doc, said: '' }
  const rest = `${doc.slice(0, match.index)} ${doc.slice(match.index + match[0].length)}`.trim().replaceAll('  ', ' ')
  return { doc: rest === '' ? doc : rest, said: match[1].trim() }
}

const UNITS = { KiB: 1024, MiB: 1024 ** 2 }

/** What a docstring calls the default is the default. */
function checkDefault(name, said, fallback) {
  if (typeof fallback !== 'number') return
  const [, digits, unit] = /^([\d,.]+)(?: (KiB|MiB))?(?:$|[ :;,(])/.exec(said) ?? []
  if (digits === undefined) return
  const number = Number(digits.replaceAll(',', '')) * (UNITS[unit] ?? 1)
  if (number !== fallback) throw new Error(`${name}: its docstring says ${said}, the default is ${fallback}`)
}

function shownDefault(fallback, required) {
  if (fallback === undefined) return required ? '**required**' : ''
  if (typeof fallback === 'number') return figure(fallback)
  return code(
    JSON.stringify(fallback)
      .replaceAll(/"(\w+)":/g, ' $1: ')
      .replaceAll('},', ' }, ')
      .replaceAll(/(?<=\w)\}/g, ' }')
      .replaceAll(/,(?=\S)/g, ','),
  )
}
