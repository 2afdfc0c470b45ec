/** `hookring explain`: every code has its entry, and a misspelt one says so. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ERROR_CODES } from 'hookring'
import { describe, expect, test } from 'vitest'
import { entryText, errorEntries } from '../../dist/cli/explain/entries.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

function explain(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'dist/cli/main.js'), 'explain', ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

test('a code is explained, however it was pasted', () => {
  const { status, stdout, stderr } = explain('EVENT_EXPIRED')
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain(`EVENT_EXPIRED: ${ERROR_CODES.EVENT_EXPIRED}\n\n`)
  expect(stdout).toContain('\n\nWhat to do: ')
  expect(explain('event_expired:').stdout).toBe(stdout)
})

test('several codes are explained in their order, and none lists all', () => {
  expect(explain('EVENT_INVALID', 'EVENT_EXPIRED').stdout).toMatch(/^EVENT_INVALID: [\s\S]*\nEVENT_EXPIRED: /)
  const listed = explain()
    .stdout.trimEnd()
    .split('\n')
    .map((line) => line.slice(0, line.indexOf(':')))
  expect(listed).toEqual(errorEntries().map(({ code }) => code))
})

test.each([
  ['PLUGIN_NOTFOUND', 'did you mean PLUGIN_NOT_FOUND?'],
  ['ELEPHANT', 'hookring explain lists the codes'],
  ['X'.repeat(1000), 'XXX…;'],
  ['constructor', 'there is no error code constructor'],
])('the code %.20s does not exist, and is answered with %s', (code, hint) => {
  const { status, stdout, stderr } = explain(code)
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toContain(hint)
})

describe('the entries', () => {
  const entries = errorEntries()

  test('are one for each code, each a few whole sentences', () => {
    const codes = entries.map(({ code }) => code)
    expect(new Set(codes).size).toBe(codes.length)
    for (const { code, when, todo } of entries) {
      expect(when, code).toMatch(/^[A-Z].{10,}\.$/)
      expect(todo, code).toMatch(/^[A-Z`].{10,}[.?]$/)
    }
  })

  test('keep to the width of the terminal', () => {
    for (const columns of [40, 100]) {
      for (const entry of entries) {
        const lines = entryText(entry, columns).split('\n')
        // A word that is longer than the line stands alone.
        for (const line of lines) expect(line.length <= columns || !line.includes(' '), line).toBe(true)
      }
    }
  })

  test('are there for every code that the sources throw', () => {
    const known = new Set(entries.map(({ code }) => code))
    const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    const thrown = files
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [
        ...readFileSync(join(ROOT, 'src', file), 'utf8').matchAll(/(?:HookringError|UsageError)\(\s*'([A-Z_]+)'/g),
      ])
      .map(([, code]) => code as string)
    expect(thrown.length).toBeGreaterThan(100)
    expect(thrown.filter((code) => !known.has(code))).toEqual([])
  })
})

test('an error of the command says how to read more about its code', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'dist/cli/main.js'), 'bench', './nowhere.mjs'], {
    encoding: 'utf8',
  })
  expect(status).toBe(2)
  expect(stderr).toMatch(/^hookring: PLUGIN_NOT_FOUND: .*\nMore: npx hookring explain PLUGIN_NOT_FOUND\n$/)
})
