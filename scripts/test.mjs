/**
 * `npm test [-- ARGS]`: builds the package and runs vitest on what was built, passing ARGS on. The last line says
 * `N passed, N failed, N skipped`; the exit code is vitest's.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { compile, PACKAGE, ROOT } from './compile.mjs'

// Types are the business of `npm run check`; tests run what ships either way.
const isBuilt = await compile(PACKAGE, { isChecked: false })
const code = isBuilt ? await runVitest(process.argv.slice(2)) : 1
const { passed, failed, skipped, remarks } = isBuilt
  ? countOutcomes()
  : { passed: 0, failed: 1, skipped: 0, remarks: ['FAILED the build'] }
// An error outside of any test fails the run as well, and must not be told as `0 failed`.
const failures = code === 0 ? failed : Math.max(failed, 1)
if (failures > remarks.length) remarks.push('FAILED an error outside of any test: see above')
for (const remark of remarks) process.stdout.write(`\n${remark}`)
process.stdout.write(`\n${passed} passed, ${failures} failed, ${skipped} skipped\n`)
process.exitCode = code

function outcomesFile() {
  const folder = join(ROOT, '.cache')
  mkdirSync(folder, { recursive: true })
  return join(folder, `outcomes-${process.pid}.json`)
}

function runVitest(args) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${outcomesFile()}`]
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs')
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], { cwd: ROOT, stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', (exitCode) => resolve(exitCode ?? 1))
    process.on('SIGTERM', () => child.kill('SIGTERM'))
    process.on('SIGINT', () => {})
  })
}

function countOutcomes() {
  const counts = { passed: 0, failed: 0, skipped: 0, remarks: [] }
  const file = outcomesFile()
  let report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return counts
  } finally {
    rmSync(file, { force: true })
  }
  for (const suite of report.testResults) {
    const file = relative(ROOT, suite.name)
    for (const test of suite.assertionResults) {
      if (test.status === 'passed') counts.passed++
      else if (test.status === 'failed') counts.failed++
      else counts.skipped++
      const reason = test.failureMessages?.[0]?.split('\n', 1)[0]
      if (test.status === 'failed') counts.remarks.push(`FAILED ${file}: ${test.fullName}: ${reason}`)
      else if (reason !== undefined) counts.remarks.push(`PASSED WHEN RUN AGAIN ${file}: ${test.fullName}: ${reason}`)
    }
    // A file that could not be loaded has no tests to count.
    if (suite.status === 'failed' && !suite.assertionResults.some((test) => test.status === 'failed')) {
      counts.failed++
      counts.remarks.push(`FAILED ${file}: ${suite.message?.split('\n', 1)[0]}`)
    }
  }
  return counts
}
