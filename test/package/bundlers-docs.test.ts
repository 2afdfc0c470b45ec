/** The options of docs/deployment/bundlers.md are those that bundlers.test.ts builds with. Reads both, and runs neither. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readPage } from '../support/markdown-snippets.js'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/deployment/bundlers.md')
/** As its files are written: in the source their backslashes stand in a template. */
const built = read('test/package/bundlers.test.ts').replaceAll('\\\\', '\\')
const configs = readPage(page).snippets.filter(({ file }) => file?.includes('.config.'))

test.each(configs.map(({ file, text }) => [file, text] as const))('%s is that of the tests', (file, text) => {
  const [, tried = ''] = built.split(`'${file}': \`\n`)
  const lines = tried.split('\n`,')[0]?.split('\n')
  for (const line of text.trimEnd().split('\n')) expect(lines).toContain(line)
})

test('each of the bundlers has its file, and esbuild the same packages left out', () => {
  expect(configs.map(({ file }) => file)).toEqual(['rollup.config.mjs', 'webpack.config.mjs', 'vite.config.mjs'])
  expect(page).toContain("--external:hookring '--external:hookring/*' ")
  expect(built).toContain("external: inside ? ['prom-client'] : ['hookring', 'hookring/*']")
  expect(page).toContain("`ssr: { noExternal: true, external: ['prom-client'] }`")
  expect(built).toContain("{ noExternal: true, external: ['prom-client'] }")
})
