/**
 * `npm run soak`: several engines in one process under mixed traffic while faults strike at random, and a ledger that
 * accounts for every call and every observation.
 *
 * Exit codes: 0 everything is accounted for; 1 it is not, or the run broke off; 2 wrong usage. SIGINT ends a run early,
 * with the figures so far.
 */
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ProgressLine } from '../../../bench/instruments.js'
import { packageRoot } from '../../../bench/report.js'
import { soakMqtt } from '../soak-mqtt/command.js'
import { type Outcome, runSoak } from './run.js'
import { drawRun, tellRun } from './telling.js'

const USAGE = `usage: npm run soak -- [--minutes N] [--seed S] [--json] [--svg FILE] [--log FILE]
       npm run soak -- mqtt [--minutes N] [--seed S] [--json]      brokers of a cluster; --help tells more

Four engines with eighteen plugins (the shipped delivery contract and three of the soak's own; gate, parallel gate,
observe, transform, respond; sync and async hooks; every failure policy; shadow, sample, match, partitionBy, priorities,
bulkheads with one to three lanes) are called without a pause while faults strike every third of a second.

  --minutes N  how long, 1 by default; parts of a minute are good
  --seed S     a whole number, 1 by default: runs with one seed plan the same faults at the same times
  --json       one JSON document on stdout, and nothing else
  --svg FILE   where latency, traffic, memory and faults over time are drawn; .cache/soak/seed-S.svg by default
  --log FILE   where each fault is written down, one JSON object to a line; .cache/soak/seed-S.ndjson by default

What counts as what:

  calls                gates, transforms and responds that were asked
  settledOnce          the promise settled, and no hook was entered more than once for the call
  settledTwice         a hook was entered twice for one call, or the promise settled twice
  neverSettled         not settled 30 s after it was made, or when its engine had closed
  observations         one for each plugin that was to be told
  deliveredOnce        the plugin's hook was entered once and came back, and nothing was reported; or it was told to hang
  deliveredTwice       it was entered more than once
  reportedUndelivered  named by a deadLetter event; or refused with an ENGINE_CLOSED error while the engine closed; or
                       not offered to a plugin in quarantine, as often as the engine's own counter says. A dead letter
                       for a hook that had been entered counts here, once: the engine cannot know how far it came
                       (notes.reportedThoughEntered says how many)
  unexplained          none of these 60 s after it was made, or when its engine had closed: not told, or interrupted,
                       and nobody said so
  orderViolations      an observation of a partition's key that one version of a plugin was told of after a later one;
                       a reload starts new lanes beside the old ones, so that between versions there is no order
                       (reorderedAcrossReloads says how often one overtook the other)
  wrongVerdicts        not what the plugins' decisions, the failures that are possible and their policies lead to

  rssMbStart, rssMbEnd after the warm-up (a fifth of the run, five minutes at most) and at the end, medians of a stretch;
                       heapMbStart and heapMbEnd are the host's JavaScript heap. Threads that come and go leave pages
                       with the allocator: with many faults the first rises for some minutes, and then no more

Examples:
  npm run soak -- --minutes 2 --seed 7
  npm run soak -- --minutes 30 --json > soak.json
  npm run soak -- --minutes 0.2 --svg soak.svg
`

interface Wanted {
  readonly minutes: number
  readonly seed: number
  readonly json: boolean
  readonly help: boolean
  readonly svg: string
  readonly log: string
}

async function main(): Promise<number> {
  if (process.argv[2] === 'mqtt') return soakMqtt(process.argv.slice(3))
  let wanted: Wanted
  try {
    wanted = parse()
  } catch (error) {
    process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
  if (wanted.help) {
    await print(USAGE)
    return 0
  }
  const outcome = await run(wanted)
  writeTo(wanted.svg, drawRun(outcome))
  if (wanted.json) await print(`${JSON.stringify(outcome.document)}\n`)
  else await print(`${tellRun(outcome)}\n\nWritten to ${wanted.svg} and ${wanted.log}\n`)
  // Without this a thread that V8 cannot end would keep the process.
  if (!outcome.document.didClose || outcome.document.zombies > 0) process.exit(outcome.isClean ? 0 : 1)
  return outcome.isClean ? 0 : 1
}

async function run({ minutes, seed, log }: Wanted): Promise<Outcome> {
  const stop = new AbortController()
  const end = () => stop.abort()
  process.once('SIGINT', end).once('SIGTERM', end)
  const progress = new ProgressLine('soak')
  mkdirSync(dirname(log), { recursive: true })
  const lines = createWriteStream(log)
  try {
    return await runSoak({
      minutes,
      seed,
      signal: stop.signal,
      onFault: (fault, struckMs) => void lines.write(`${JSON.stringify({ ...fault, struckMs })}\n`),
      onSecond({ elapsedS, figures, faults }) {
        const open = figures.calls - figures.settledOnce
        progress.step(
          `${Math.round(elapsedS)} of ${Math.round(minutes * 60)} s  ${figures.calls} calls (${open} open), ` +
            `${faults} faults, ${figures.unexplained + figures.settledTwice + figures.neverSettled} amiss`,
        )
      },
    })
  } finally {
    progress.done()
    process.off('SIGINT', end).off('SIGTERM', end)
    await new Promise<void>((resolve) => lines.end(resolve))
  }
}

function parse(): Wanted {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '1' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      svg: { type: 'string' },
      log: { type: 'string' },
    },
  })
  const minutes = Number(values.minutes)
  if (!(minutes > 0 && minutes <= 7 * 24 * 60)) {
    throw new Error(`--minutes must be above 0 and at most a week, got ${JSON.stringify(values.minutes)}`)
  }
  const seed = Number(values.seed)
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new Error(`--seed must be a whole number from 0 to 2^32 - 1, got ${JSON.stringify(values.seed)}`)
  }
  const base = join(packageRoot(), '.cache', 'soak', `seed-${seed}`)
  return {
    minutes,
    seed,
    json: values.json,
    help: values.help,
    svg: resolve(values.svg ?? `${base}.svg`),
    log: resolve(values.log ?? `${base}.ndjson`),
  }
}

function writeTo(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve())))
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    process.stderr.write(`soak: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exitCode = 1
  },
)
