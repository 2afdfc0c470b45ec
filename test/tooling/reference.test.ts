/** The pages of docs/reference that are made from the code: they are what it says now, and are read right out of it. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createHookEngine, ERROR_CODES } from 'hookring'
import { delivery } from 'hookring/contracts'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const script = (name: string) => import(new URL(`../../scripts/reference/${name}.mjs`, import.meta.url).href)

interface Member {
  readonly name: string
  readonly isOptional: boolean
  readonly type: string
  readonly doc: string
}
const { membersFrom, membersOf, statementsOf } = (await script('declarations')) as {
  membersFrom(text: string, from: number, separator: string): Member[]
  membersOf(text: string, name: string, separator: string): Member[]
  statementsOf(text: string): { kind: string; name: string; doc: string }[]
}
const { slugOf, table } = (await script('markdown')) as {
  slugOf(title: string): string
  table(header: string[], rows: string[][]): string
}

const page = (name: string) => readFileSync(join(ROOT, 'docs/reference', name), 'utf8')

test('the pages are what the code says: otherwise `npm run reference`', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/reference.mjs', '--check'], {
    cwd: ROOT,
    encoding: 'utf8',
  })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
})

test('every metric that an engine exposes is listed', async () => {
  await using engine = await createHookEngine({ contract: delivery, spares: 0 })
  const exposed = [...(await engine.registry.metrics()).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)
  const listed = [...page('metrics.md').matchAll(/^\| `(hookring_(?!mqtt_)\w+)` \|/gm)].map(([, name]) => name)
  expect(listed.sort()).toEqual(exposed.sort())
})

test('every code has an entry that links lead to', () => {
  const headings = new Set([...page('errors.md').matchAll(/^## (.*)$/gm)].map(([, title]) => slugOf(title as string)))
  for (const code of Object.keys(ERROR_CODES)) expect(headings).toContain(code.toLowerCase())
})

test('the members of an interface are read with their docstrings', () => {
  const text = `
    interface Other { a: 1 }
    export interface Options<T extends { deep: true } = never> {`.replace('{ deep: true } = never', 'object')
  const body = `
      /** One line; with a semicolon. */
      readonly first?: 'a;b' | { nested: number; } | undefined;
      // a remark
      /**
       * Two
       * lines.
       */
      method(value: string, more: { x: 1; }): void;
      'quoted-name': [a: 1, b: 2];
      bare: RegExp;
    }
    interface Later { z: 1 }`
  expect(membersOf(text + body, 'Options', ';')).toEqual([
    {
      name: 'first',
      isOptional: true,
      type: "'a;b' | { nested: number; } | undefined",
      doc: 'One line; with a semicolon.',
    },
    { name: 'method', isOptional: false, type: '(value: string, more: { x: 1; }): void', doc: 'Two lines.' },
    { name: 'quoted-name', isOptional: false, type: '[a: 1, b: 2]', doc: '' },
    { name: 'bare', isOptional: false, type: 'RegExp', doc: '' },
  ])
})

test('the keys of a schema are read, past commas and braces in strings and regular expressions', () => {
  const source = `{
    ...others,
    /** Said. */
    name: z.string().regex(/^[a-z,{/]+$/, 'no } here, please').optional(),
    list: z.array(z.union([z.string(), z.number()])).default([]), // trailing
    short,
  })`
  expect(membersFrom(source, 1, ',').map(({ name, doc }) => [name, doc])).toEqual([
    ['...others', ''],
    ['name', 'Said.'],
    ['list', ''],
    ['short', ''],
  ])
  expect(() => membersOf(source, 'Missing', ',')).toThrow('there is no declaration Missing')
})

test('the statements of a declaration file are told apart', () => {
  const text = `
/** About the file. */
import type { A } from './a.js';
/** A function.
 *
 * @throws Something */
export declare function run(options: { a: 1; }): Promise<void>;
export interface Shape { one: 1; }
/** A constant. */
export declare const LIMIT: { readonly most: 3; };
export type Word = 'x' | 'y';
export {};`
  expect(statementsOf(text).map(({ kind, name, doc }) => [kind, name, doc])).toEqual([
    ['function', 'run', 'A function.\n\n@throws Something'],
    ['interface', 'Shape', ''],
    ['const', 'LIMIT', 'A constant.'],
    ['type', 'Word', ''],
  ])
})

test('cells and anchors are what code hosts make of them', () => {
  expect(table(['a'], [['x | y'], ['`p \\| q`']])).toBe('| a |\n|---|\n| x \\| y |\n| `p \\| q` |')
  expect(slugOf('EVENT_INVALID')).toBe('event_invalid')
  expect(slugOf('hookring serve, every `server`')).toBe('hookring-serve-every-server')
  expect(slugOf('[Linked](x.md) & more')).toBe('linked--more')
})
