/**
 * The fenced blocks of a page, and what their info strings say is to be done with them. The convention is in
 * CONTRIBUTING.md. Pure.
 */

/** What is done with a block. */
export type Use = 'write' | 'run' | 'serve' | 'test' | 'fragment' | 'skip' | 'shell' | 'output' | 'show'

export interface Snippet {
  /** Of the fence, from 1. */
  readonly line: number
  readonly language: string
  /** Where it is written, if it is a file. */
  readonly file: string | null
  readonly use: Use
  /** The port that tells that a server listens; null: its first line of output does. */
  readonly port: number | null
  readonly text: string
  /** Code that a fragment stands in. */
  readonly context: string | null
}

export interface Page {
  readonly snippets: readonly Snippet[]
  /** Files that the page needs and does not show, by path. */
  readonly hidden: Readonly<Record<string, string>>
  /** Pages whose files it builds on. */
  readonly builtOn: readonly string[]
  /** Programs that must be installed for it to run. */
  readonly needs: readonly string[]
  /** What is wrong with the marking, as `line: problem`. */
  readonly problems: readonly string[]
}

const CODE = new Set(['js', 'ts', 'mjs', 'mts'])
const SHOWN = new Set([
  'text',
  'c',
  'rust',
  'go',
  'python',
  'yaml',
  'yml',
  'dockerfile',
  'diff',
  'toml',
  'css',
  'html',
  'ini',
])
const WORDS = new Set(['run', 'serve', 'test', 'fragment', 'skip', 'output'])

export function readPage(markdown: string): Page {
  const lines = markdown.split('\n')
  const snippets: Snippet[] = []
  const hidden: Record<string, string> = {}
  const builtOn: string[] = []
  const needs: string[] = []
  const problems: string[] = []
  let comment: string | null = null
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] as string
    if (line.startsWith('<!--')) {
      const end = lines.findIndex((one, index) => index >= at && one.includes('-->'))
      comment = lines
        .slice(at, end + 1)
        .join('\n')
        .replace(/^<!--\s*|\s*-->[\s\S]*$/g, '')
      at = end
      const file = /^file (\S+)\n([\s\S]*)$/.exec(comment)
      if (file !== null) hidden[file[1] as string] = `${file[2]}\n`
      const others = /^files of: (.+)$/.exec(comment)
      if (others !== null) builtOn.push(...(others[1] as string).split(/,\s*/))
      const programs = /^needs: (.+)$/.exec(comment)
      if (programs !== null) needs.push(...(programs[1] as string).split(/,\s*/))
      continue
    }
    const fence = /^(\s*)(`{3,})(.*)$/.exec(line)
    if (fence === null) {
      if (line.trim() !== '') comment = null
      continue
    }
    const [, indent = '', ticks = '', info = ''] = fence
    const end = lines.findIndex((one, index) => index > at && one.trim() === ticks)
    const text = lines.slice(at + 1, end).map((one) => `${one.startsWith(indent) ? one.slice(indent.length) : one}\n`)
    const read = readInfo(info.trim(), comment)
    if (typeof read === 'string') problems.push(`${at + 1}: ${read}`)
    else snippets.push({ line: at + 1, text: text.join(''), ...read })
    comment = null
    at = end
  }
  return { snippets, hidden, builtOn, needs, problems }
}

/** What the info string says, or what is wrong with it. */
function readInfo(info: string, comment: string | null): Omit<Snippet, 'line' | 'text'> | string {
  const [language = '', ...rest] = info.split(/\s+/).filter((word) => !/^\{[\d,-]+\}$/.test(word))
  if (language === '') return 'a block without a language; write text for what is only shown'
  const words = rest.filter((word) => WORDS.has(word))
  const ports = rest.filter((word) => word.startsWith('port='))
  const [file = null, ...unknown] = rest.filter((word) => !WORDS.has(word) && !word.startsWith('port='))
  if (unknown.length > 0) return `${info}: ${unknown.join(' ')} says nothing known`
  if (words.length > 1) return `${info}: one of ${words.join(', ')}`
  const word = words[0] as Use | undefined
  const port = ports.length === 0 ? null : Number(ports[0]?.slice('port='.length))
  if (word === 'skip' && !comment?.startsWith('not run: '))
    return `${info}: skip without a comment <!-- not run: reason -->`
  const context = comment?.startsWith('context\n') ? comment.slice('context\n'.length) : null
  const use = useOf(language, file, word)
  return use === null ? `${info}: neither run, checked nor marked` : { language, file, use, port, context }
}

function useOf(language: string, file: string | null, word: Use | undefined): Use | null {
  if (word === 'skip') return 'skip'
  if (language === 'sh') return word === undefined ? 'shell' : word === 'serve' ? 'serve' : null
  if (language === 'text' && word === 'output') return 'output'
  if (CODE.has(language)) {
    if (file === null) return word === 'fragment' ? 'fragment' : null
    return word === 'fragment' ? null : (word ?? 'write')
  }
  if (word !== undefined) return null
  if (file !== null) return 'write'
  return SHOWN.has(language) || language === 'json' ? 'show' : null
}

/** Whether what was printed is what a page shows: a line of `…` stands for any lines, `…` within one for any text. */
export function isAsShown(shown: string, printed: string): boolean {
  const pattern = shown
    .trimEnd()
    .split('\n')
    .map((line) => (line.trim() === '…' ? '(?:.*\n)*?' : `${line.trimEnd().split('…').map(escaped).join('.*')}\n`))
    .join('')
  return new RegExp(`^${pattern}$`).test(`${printed.replace(/[ \t]+$/gm, '').trimEnd()}\n`)
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
