/**
 * Every interleaving: runs the shipped code of ring and lanes in real threads, under a scheduler to which every Atomics
 * operation is a step, in all orders up to a bound, and checks for what must never happen. Then it does the same with
 * mutants of that code, each of which must be caught.
 *
 * How: each thread of a stage has Atomics of its own (atomics.ts), which the code under test finds on globalThis; that code
 * does not know. A thread runs only while it has the token, and hands it on where the schedule says so (stage.ts). Both sides
 * are the real modules: on the host dispatcher, hops, bulkhead, lane, pump, deadlines, watchdog and supervisor (engine.ts),
 * in the lane's thread the lane's loop and chain. Not real are Piscina and comlink (the stage delivers messages), and time,
 * which passes when a scenario says so.
 *
 * What it shows holds up to the bound, for these scenarios, and for sequentially consistent memory: one thread runs at a
 * time, so plain reads and writes are seen at once. JavaScript promises this for plain accesses that Atomics order, and the
 * points on both sides of each operation separate plain accesses from it, so a missing order shows. What a processor or a
 * compiler does with accesses that race in every order would not show, nor would torn doubles. The ring relies on neither:
 * times are clamped to what is possible (calls/marks.ts).
 *
 * Exit codes: 0 nothing found and all mutants caught; 1 a violation, a mutant that was not caught, or not complete; 2 bad
 * usage.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { FORBIDDEN } from './forbidden.js'
import { type JobProgress, startJobs } from './jobs.js'
import { MUTANTS } from './mutants.js'
import { type Copies, createCopies, type Mutant, sizesFor } from './patched-copy.js'
import { formatDocument, formatList, formatTables } from './report.js'
import type { Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios.js'
import { parseSchedule } from './schedule.js'
import { openStage } from './stage-threads.js'

const USAGE = `usage: npm run interleavings -- [OPTIONS]

  --quick            fewer preemptions: half a minute
  --scenario NAME    this scenario only; may be given again
  --mutant NAME      this mutant only; may be given again. Alone: no scenarios
  --no-mutants       no mutants
  --bound N          up to so many preemptions, in place of each scenario's own bound
  --replay ID        runs one schedule and prints each of its points; with --mutant, of that mutant
  --stages N         so many at once (default: processors, at most 4)
  --list             forbidden outcomes, scenarios, mutants
  --json             one JSON document on stdout, and nothing else
  --help

examples:
  npm run interleavings
  npm run interleavings -- --scenario claim-vs-recall --bound 3 --no-mutants
  npm run interleavings -- --replay claim-vs-recall:13w
  npm run interleavings -- --mutant recall-without-exchange --replay claim-vs-recall:13w
`

/** The user asked for something that is not possible. */
class UsageError extends Error {}

function parse() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      scenario: { type: 'string', multiple: true, default: [] },
      mutant: { type: 'string', multiple: true, default: [] },
      'no-mutants': { type: 'boolean', default: false },
      bound: { type: 'string' },
      replay: { type: 'string' },
      stages: { type: 'string', default: String(Math.min(availableParallelism(), 4)) },
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const scenarios = values.scenario.map((name) => named(SCENARIOS, name, 'scenario'))
  const mutants = values.mutant.map((name) => named(MUTANTS, name, 'mutant'))
  return {
    ...values,
    scenarios: scenarios.length > 0 ? scenarios : mutants.length > 0 ? [] : SCENARIOS,
    mutants: values['no-mutants'] ? [] : mutants.length > 0 ? mutants : scenarios.length > 0 ? [] : MUTANTS,
    bound: values.bound === undefined ? null : whole(values.bound, '--bound', 0, 6),
    stages: whole(values.stages, '--stages', 1, 64),
  }
}

function named<Item extends { readonly name: string }>(items: readonly Item[], name: string, what: string): Item {
  const item = items.find((each) => each.name === name)
  if (item === undefined) throw new UsageError(`there is no ${what} ${JSON.stringify(name)}; --list names them`)
  return item
}

function whole(text: string, option: string, least: number, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new UsageError(`${option} must be a whole number from ${least} to ${most}, got ${JSON.stringify(text)}`)
}

async function main(): Promise<number> {
  let options: ReturnType<typeof parse>
  try {
    options = parse()
    if (options.replay !== undefined) checkReplay(options.replay, options.mutants, options.mutant.length)
  } catch (error) {
    process.stderr.write(`interleavings: ${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (options.help) return await print(USAGE)
  if (options.list) return await print(formatList())
  const copies = await createCopies()
  try {
    if (options.replay !== undefined) {
      return await replay(copies, options.replay, options.mutant.length === 0 ? null : (options.mutants[0] as Mutant))
    }
    return await explore(copies, options)
  } finally {
    await copies.clear()
  }
}

async function explore(copies: Copies, options: ReturnType<typeof parse>): Promise<number> {
  const { scenarios, mutants, quick, bound, stages, json } = options
  const begun = performance.now()
  const jobs = startJobs(scenarios, mutants, { copies, isQuick: quick, bound, stages, onProgress: createProgress() })
  let isInterrupted = false
  const interrupted = new Promise<void>((resolve) => {
    process.once('SIGINT', () => {
      isInterrupted = true
      resolve(jobs.stop())
    })
  })
  await Promise.race([jobs.finished, interrupted]).catch(async (error: unknown) => {
    // A stage that was ended fails; that is not worth reporting.
    if (!isInterrupted) throw error
    await interrupted
  })
  endProgress()
  const { results } = jobs
  await print(json ? `${formatDocument(results)}\n` : formatTables(results, (performance.now() - begun) / 1000))
  if (isInterrupted) process.stderr.write('interleavings: interrupted; these are the figures so far\n')
  const isGood =
    !isInterrupted &&
    results.scenarios.every(({ violations }) => violations === 0) &&
    results.mutants.every(({ caught }) => caught)
  return isGood ? 0 : 1
}

function checkReplay(id: string, mutants: readonly Mutant[], asked: number): void {
  const parsed = parseSchedule(id)
  if (parsed === null) throw new UsageError(`${JSON.stringify(id)} is no schedule's id: SCENARIO:17w.24h`)
  named(SCENARIOS, parsed.scenario, 'scenario')
  if (asked > 1 || (asked === 1 && mutants.length !== 1)) throw new UsageError('--replay takes one mutant')
}

async function replay(copies: Copies, id: string, mutant: Mutant | null): Promise<number> {
  const scenario = named(SCENARIOS, parseSchedule(id)?.scenario ?? '', 'scenario') as Scenario
  const patches = [...(mutant?.patches ?? []), ...sizesFor(scenario).patches]
  const stage = openStage(await copies.make('replayed', patches))
  try {
    const { violations, trace } = await stage.replay(id)
    const told = violations.map(({ kind, detail }) => `${kind}: ${FORBIDDEN[kind]}\n  ${detail}\n`)
    await print(`${trace.join('\n')}\n\n${told.length === 0 ? 'no violation\n' : told.join('')}`)
    return violations.length === 0 ? 0 : 1
  } finally {
    await stage.close()
  }
}

function createProgress(): (progress: JobProgress) => void {
  if (process.stderr.isTTY !== true) return () => {}
  return ({ done, all, what }) => process.stderr.write(`\r\u001b[K${`${done}/${all}  ${what}`.slice(0, 79)}`)
}

function endProgress(): void {
  if (process.stderr.isTTY === true) process.stderr.write('\r\u001b[K')
}

function print(text: string): Promise<0> {
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve(0))))
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    process.stderr.write(`interleavings: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exitCode = 1
  },
)
