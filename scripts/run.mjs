/**
 * `node scripts/run.mjs FILE.ts [ARGS]`: builds the package, compiles benches and examples, and runs one of them in a
 * process of its own. stdout is the program's alone; messages of the compiler go to stderr.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { compile, PACKAGE, PROGRAMS, ROOT } from './compile.mjs'

const [file, ...args] = process.argv.slice(2)
if (file === undefined || !file.endsWith('.ts')) {
  process.stderr.write('usage: node scripts/run.mjs FILE.ts [ARGS]\n')
  process.exit(2)
}

// Types are the business of `npm run check`; what runs here is the same code either way, sooner.
for (const part of [PACKAGE, PROGRAMS]) {
  if (!(await compile(part, { isChecked: false }))) process.exit(1)
}

const compiled = join(ROOT, PROGRAMS.target, file.replace(/\.ts$/, '.js'))
const child = spawn(process.execPath, [compiled, ...args], { cwd: ROOT, stdio: 'inherit' })
child.once('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal]
})
process.on('SIGTERM', () => child.kill('SIGTERM'))
// A terminal sends Ctrl-C to the program too; its exit code is the answer.
process.on('SIGINT', () => {})
