/**
 * `npm run check`: everything that can be said of the code without running it. All steps run; those that fail print
 * what they found, and the exit code is 1. `npm run check -- --imports` prints who imports whom, and checks that alone.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ROOT } from './compile.mjs'

const STEPS = [
  ['types and build of src', [process.execPath, 'scripts/build.mjs']],
  ['types of tests, benches and examples', ['tsc', '-p', 'tsconfig.check.json']],
  ['imports', [process.execPath, 'scripts/imports.mjs']],
  ['reference pages of docs', [process.execPath, 'scripts/reference.mjs', '--check']],
  ['links of pages', [process.execPath, 'scripts/links.mjs']],
  ['lint and format', ['biome', 'check', '--error-on-warnings', '--max-diagnostics=200']],
  ['package as published: publint', ['publint', '--strict']],
  ['package as resolved: are the types wrong', ['attw', '--pack', '.', '--profile', 'esm-only']],
]

const isImportsAlone = process.argv.includes('--imports')
let failures = 0
for (const [name, [command, ...args]] of STEPS) {
  if (isImportsAlone && name !== 'imports') continue
  const { code, output } = await run(command, args)
  if (isImportsAlone && code === 0) process.stdout.write(output)
  process.stdout.write(`${code === 0 ? 'ok    ' : 'FAILED'} ${name}\n`)
  if (code === 0) continue
  failures++
  process.stdout.write(`\n${output.trimEnd()}\n\n`)
}
process.exitCode = failures === 0 ? 0 : 1

function run(command, args) {
  const env = {
    ...process.env,
    PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env.PATH}`,
    // Two of the steps pack the package; it has just been built.
    npm_config_ignore_scripts: 'true',
  }
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}
