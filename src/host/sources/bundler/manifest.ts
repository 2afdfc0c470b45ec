/**
 * What a package.json says of its package, as Node.js and bundlers read it: https://nodejs.org/api/packages.html. It was
 * written by a stranger: depths are bounded, and no text of it gets into an error. Pure.
 */
import { SourceRefusal } from './source-reader.js'

export interface Manifest {
  readonly name: string | null
  readonly isModule: boolean
  readonly exports: unknown
  readonly imports: unknown
  /** What a bundler takes in place of files and packages; false: nothing. */
  readonly browser: Readonly<Record<string, string | false>>
  /** The file for a condition of old: `browser`, `module`, `main`. */
  readonly entries: Readonly<Record<string, string>>
  /** Whether importing this file of it, a path from the package's folder, does anything by itself. */
  hasSideEffects(file: string): boolean
}

/** Conditions nest a few levels in packages that are published. */
const MAX_DEPTH = 16
const MAX_KEYS = 20_000
const MAX_GLOBSTARS = 3
const ENTRY_FIELDS = ['browser', 'module', 'main'] as const

/** @throws SourceRefusal */
export function parseManifest(bytes: Uint8Array): Manifest {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    throw new SourceRefusal('is not JSON')
  }
  if (!isRecord(value)) throw new SourceRefusal('is not an object')
  return {
    name: typeof value.name === 'string' ? value.name : null,
    isModule: value.type === 'module',
    exports: value.exports ?? null,
    imports: value.imports ?? null,
    browser: browserMap(value.browser),
    entries: Object.fromEntries(
      ENTRY_FIELDS.flatMap((field) => (typeof value[field] === 'string' ? [[field, value[field]]] : [])),
    ),
    hasSideEffects: sideEffectsOf(value.sideEffects),
  }
}

/** What a package of which nothing is known says. */
export const NO_MANIFEST: Manifest = {
  name: null,
  isModule: false,
  exports: null,
  imports: null,
  browser: {},
  entries: {},
  hasSideEffects: () => true,
}

/**
 * What a subpath (`.`, `./sub`) of a package stands for, by its `exports`; or a name (`#name`), by its `imports`.
 *
 * @returns a path from the package's folder, or for `imports` a package's name; null: none.
 * @throws SourceRefusal
 */
export function mapped(map: unknown, wanted: string, conditions: ReadonlySet<string>): string | null {
  const entries = isRecord(map) && Object.keys(map).some((key) => /^[.#]/.test(key)) ? map : { '.': map }
  if (Object.keys(entries).length > MAX_KEYS) throw new SourceRefusal('has too many exports')
  if (Object.hasOwn(entries, wanted) && !wanted.includes('*')) return target(entries[wanted], '', conditions, 0) ?? null
  let best: { key: string; prefix: string; match: string } | null = null
  for (const key of Object.keys(entries)) {
    const star = key.indexOf('*')
    if (star < 0) continue
    const prefix = key.slice(0, star)
    const suffix = key.slice(star + 1)
    if (!wanted.startsWith(prefix) || !wanted.endsWith(suffix) || wanted.length < key.length) continue
    // The longest prefix is the most specific pattern, then the longest key.
    const isBetter =
      best === null ||
      prefix.length > best.prefix.length ||
      (prefix.length === best.prefix.length && key.length > best.key.length)
    if (isBetter) best = { key, prefix, match: wanted.slice(prefix.length, wanted.length - suffix.length) }
  }
  return best === null ? null : (target(entries[best.key], best.match, conditions, 0) ?? null)
}

/** Undefined: no condition holds, so the next one is looked at; null: the package says that there is none. */
function target(
  value: unknown,
  match: string,
  conditions: ReadonlySet<string>,
  depth: number,
): string | null | undefined {
  if (depth > MAX_DEPTH) throw new SourceRefusal('nests its conditions too deeply')
  if (typeof value === 'string') return value.replaceAll('*', () => match)
  if (Array.isArray(value)) {
    for (const each of value) {
      const found = target(each, match, conditions, depth + 1)
      if (typeof found === 'string') return found
    }
    return null
  }
  if (!isRecord(value)) return null
  for (const [condition, each] of Object.entries(value)) {
    if (condition !== 'default' && !conditions.has(condition)) continue
    const found = target(each, match, conditions, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}

function browserMap(value: unknown): Manifest['browser'] {
  if (!isRecord(value)) return {}
  const entries = Object.entries(value).filter(([, to]) => typeof to === 'string' || to === false)
  return Object.fromEntries(entries) as Record<string, string | false>
}

function sideEffectsOf(value: unknown): Manifest['hasSideEffects'] {
  if (value === false) return () => false
  if (!Array.isArray(value)) return () => true
  const patterns = value.slice(0, MAX_KEYS).flatMap((each) => (typeof each === 'string' ? [globSegments(each)] : []))
  // Each `**` multiplies the ways to look.
  if (patterns.some((pattern) => pattern.filter((name) => name === '**').length > MAX_GLOBSTARS)) return () => true
  return (file) => patterns.some((pattern) => matches(pattern, file.split('/')))
}

/** A pattern without a folder means files of that name anywhere. */
function globSegments(pattern: string): string[] {
  const path = pattern.replace(/^\.?\//, '')
  return (path.includes('/') ? path : `**/${path}`).split('/')
}

function matches(pattern: readonly string[], file: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return file.length === 0
  if (first === '**') return file.some((_, at) => matches(rest, file.slice(at)))
  const [name, ...inside] = file
  return name !== undefined && matchesName(first, name) && matches(rest, inside)
}

/** `*` stands for any characters: each part between two is looked for where the last one ended. */
function matchesName(pattern: string, name: string): boolean {
  const parts = pattern.split('*')
  const first = parts[0] as string
  const last = parts.at(-1) as string
  if (parts.length === 1) return pattern === name
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false
  let at = first.length
  for (const part of parts.slice(1, -1)) {
    at = name.indexOf(part, at)
    if (at < 0) return false
    at += part.length
  }
  return at <= name.length - last.length
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
