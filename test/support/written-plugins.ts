/** Plugins whose code a test writes out: files in a folder that goes with the test. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** A plugin for the lab contract, complete in one file: `body` at its top, `hooks` as an object literal. */
export async function written(body: string, hooks = '{}', extension = '.mjs'): Promise<{ from: string; text: string }> {
  // Inside the package, so that the plugin finds it by name.
  const folder = await mkdtemp(join(fileURLToPath(new URL('../../.cache/', import.meta.url)), 'plugin-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const text = `import { definePlugin, reject } from 'hookring/plugin'
${body}
export default definePlugin({ name: 'lab', version: 1, hookpoints: {} }, { name: 'written', setup: () => (${hooks}) })
`
  const from = join(folder, `written${extension}`)
  await writeFile(from, text)
  return { from, text }
}
