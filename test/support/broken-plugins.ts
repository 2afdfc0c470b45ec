/**
 * Plugins whose source stands in a test: written where their imports resolve, for the time of one test. For plugins
 * that no linter would let stand in a file of their own.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'

const folder = new URL(`../../.cache/test-plugins-${process.pid}/`, import.meta.url)
let count = 0

const PRELUDE = `
import { definePlugin, reject, replace } from 'hookring/plugin'
import { z } from 'zod'
import { lab, otherLab, newerLab } from '${new URL('../fixtures/lab/contract.mjs', import.meta.url).href}'
import { note } from '${new URL('../fixtures/lab/trail.mjs', import.meta.url).href}'
`

/** The URL of a new file with `source` in it, behind the imports that plugins of the lab need. */
export function pluginFile(source: string, { extension = 'mjs', prelude = PRELUDE } = {}): URL {
  mkdirSync(folder, { recursive: true })
  count += 1
  const url = new URL(`plugin-${count}.${extension}`, folder)
  writeFileSync(url, prelude + source)
  onTestFinished(() => {
    rmSync(url, { force: true })
    if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true })
  })
  return url
}

/** Writes a file anew, as an operator does before a reload. */
export function rewrite(url: URL, source: string): void {
  writeFileSync(url, PRELUDE + source)
}
