/** The package as its users meet it: every door opens, and carries types. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const ROOT = new URL('../../', import.meta.url)
const { name, exports } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8')) as {
  name: string
  exports: Record<string, string | null | { types: string; default: string }>
}
const DOORS = Object.entries(exports).flatMap(([door, target]) =>
  target === null || typeof target === 'string' || door.includes('*')
    ? []
    : [{ door: door.replace('.', name), ...target }],
)

describe.each(DOORS)('$door', ({ door, types, default: code }) => {
  test('has code and types', () => {
    for (const file of [types, code]) expect(existsSync(fileURLToPath(new URL(file, ROOT))), file).toBe(true)
  })

  test('opens by name', async () => {
    expect(Object.keys(await import(door))).not.toEqual([])
  })
})

test('what is no plugin is not reachable beside the plugins', () => {
  const resolve = () => createRequire(import.meta.url).resolve(`${name}/hooks/log-text`)
  expect(resolve).toThrow(expect.objectContaining({ code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' }))
})

test('the lock file does not say where packages were downloaded from', () => {
  expect(readFileSync(new URL('package-lock.json', ROOT), 'utf8')).not.toContain('"resolved"')
})
