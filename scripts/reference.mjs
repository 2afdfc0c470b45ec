/**
 * `npm run reference`: writes the pages of docs/reference/ that are made from the code. `--check` writes nothing, names the
 * pages that are not what the code says now, and exits with 1; `npm run check` does that.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorEntries } from '../dist/cli/explain/entries.js'
import { ROOT } from './compile.mjs'
import { cliPage } from './reference/page-cli.mjs'
import { contractsPage } from './reference/page-contracts.mjs'
import { errorsPage } from './reference/page-errors.mjs'
import { adapterOptionsPage, optionsPage, pluginsPage } from './reference/page-options.mjs'
import { eventsPage, metricsPage } from './reference/page-telemetry.mjs'

const codes = new Set(errorEntries().map(({ code }) => code))
const PAGES = {
  'options.md': optionsPage,
  'adapter-options.md': adapterOptionsPage,
  'plugins.md': pluginsPage,
  'shipped-contracts.md': contractsPage,
  'metrics.md': metricsPage,
  'events.md': eventsPage,
  'cli.md': cliPage,
  'errors.md': errorsPage,
}
const NOTE =
  '<!-- Made by scripts/reference.mjs from the code. Do not edit: change the code, then `npm run reference`. -->'

const isCheck = process.argv.includes('--check')
let stale = 0
for (const [name, make] of Object.entries(PAGES)) {
  const file = join(ROOT, 'docs', 'reference', name)
  const page = `${NOTE}\n\n${await make(codes)}`
  if (page === (await readFile(file, 'utf8').catch(() => ''))) continue
  stale += 1
  if (isCheck) process.stdout.write(`docs/reference/${name} is not what the code says: npm run reference\n`)
  else await writeFile(file, page)
}
if (isCheck && stale > 0) process.exitCode = 1
