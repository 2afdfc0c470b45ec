/**
 * `npm run fuzz`: arbitrary bytes for the host's decoders, arbitrary values for everything else that takes values.
 *
 * Exit codes: 0 nothing was found; 1 something was; 2 wrong usage.
 */
import { existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { packageRoot, runProgram, statusLine, wholeNumber } from '../hostile/command-line.js'
import type { FuzzReport } from './campaign.js'

const USAGE = `usage: npm run fuzz -- [--inputs N] [--seed S] [--target NAME]... [--json]

Gives the host's decoders bytes that nobody vouches for (arbitrary, cut, flipped, moved), by the plans of generated
contracts and of delivery@1: a value of the contract has to come out, or a coded error, whatever stands around the bytes.
And gives options, plugin specs, contracts, events, call options, conditions and control messages anything at all:
nothing but errors with a code may come out. Of what a stranger's plugin imports, nothing from outside its folders may be
in the bundle or the error. WebAssembly modules, damaged or with absurd numbers, and what a child process may write to its
pipe are read as the receiver reads them: refused, or bounded.

  --inputs N     inputs for the decoders, and a quarter as many for all the rest (default 1000000)
  --seed S       (default: the time); a run prints it, and the same seed makes the same inputs
  --target NAME  only this target; may be given several times
  --json         one JSON document on stdout, and nothing else
  --help

  npm run fuzz
  npm run fuzz -- --inputs 50000 --seed 7 --json
  npm run fuzz -- --target 'control messages'

Exit codes: 0 nothing found; 1 something was found, printed with its shrunk counterexample; 2 wrong usage.
`

async function main(): Promise<number> {
  const options = readOptions()
  if (typeof options === 'number') return options
  const { runFuzz } = await import('./campaign.js')
  const known = await allTargets()
  const targets = known.filter(({ name }) => options.targets?.includes(name) ?? true)
  const unknown = options.targets?.find((name) => !known.some((target) => target.name === name))
  if (unknown !== undefined) {
    const names = known.map(({ name }) => `  ${name}`).join('\n')
    process.stderr.write(`fuzz: no target ${JSON.stringify(unknown)}; there are:\n${names}\n`)
    return 2
  }
  const interrupt = new AbortController()
  process.once('SIGINT', () => interrupt.abort())
  const status = statusLine()
  const report = await runFuzz({
    seed: options.seed,
    inputs: options.inputs,
    targets,
    signal: interrupt.signal,
    onProgress: (target, inputs) => status.say(`fuzz ${inputs} inputs, ${target}`),
  }).finally(() => status.end())
  process.stdout.write(options.isJson ? `${JSON.stringify(report)}\n` : textOf(report))
  return report.findings.length === 0 ? 0 : 1
}

/** The targets import what the package was built to, which stands beside the sources and not beside what they became. */
async function allTargets() {
  const here = fileURLToPath(new URL('../../../dist', import.meta.url))
  if (!existsSync(here)) symlinkSync(join(packageRoot(), 'dist'), here, 'junction')
  const [{ DECODER_TARGETS }, { BORDER_TARGETS }, { LIVE_TARGETS }, { IMPORT_TARGETS }, { RECEIVER_TARGETS }] =
    await Promise.all([
      import('./decoder-targets.js'),
      import('./border-targets.js'),
      import('./live-targets.js'),
      import('./import-targets.js'),
      import('./receiver-targets.js'),
    ])
  return [...DECODER_TARGETS, ...BORDER_TARGETS, ...LIVE_TARGETS, ...IMPORT_TARGETS, ...RECEIVER_TARGETS]
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        inputs: { type: 'string', default: '1000000' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
        target: { type: 'string', multiple: true },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      return 0
    }
    return {
      inputs: wholeNumber('inputs', values.inputs, 1),
      seed: wholeNumber('seed', values.seed, 0),
      targets: values.target,
      isJson: values.json,
    }
  } catch (error) {
    process.stderr.write(`fuzz: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
}

function textOf(report: FuzzReport): string {
  const lines = Object.entries(report.targets).map(([name, { inputs, taken, refused, slowestMs, seconds }]) => {
    const refusals = Object.entries(refused)
      .map(([code, count]) => `${code} ${count}`)
      .join(', ')
    return `  ${name.padEnd(40)}${String(inputs).padStart(8)} in ${seconds} s: ${taken} taken; ${refusals || 'none refused'}; slowest ${slowestMs.toFixed(1)} ms`
  })
  const findings = report.findings.flatMap(({ target, seed, path, counterexample, error }) => [
    '',
    `found in ${target} (seed ${seed}, path ${path}): ${counterexample}`,
    `  ${error}`,
  ])
  const interrupted = report.wasInterrupted ? ', interrupted' : ''
  return [
    `${report.inputs} inputs (${report.decoderInputs} for the decoders) in ${report.seconds} s, seed ${report.seed}${interrupted}: ${report.findings.length} findings`,
    ...lines,
    ...findings,
    '',
  ].join('\n')
}

runProgram('fuzz', main)
