/**
 * `hookring bench`: what a user's own plugin costs at a hookpoint. Reads the options, runs the plan, prints.
 */
import { writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { contractUnsaid, durationFrom, jsonFrom, levelsFrom, numberFrom, pluginFrom } from '../common/arguments.js'
import { UsageError } from '../common/errors.js'
import { EXIT_FINDINGS, EXIT_GOOD, EXIT_INTERRUPTED, endProcess, print } from '../common/exit.js'
import { styleFor } from '../common/style.js'
import { CONTENDER_NAMES, type ContenderName } from '../measure/contenders/index.js'
import { ProgressLine } from '../measure/progress-line.js'
import type { Load } from '../measure/subject.js'
import type { TurnControl } from '../measure/turns.js'
import { documentOf } from './document.js'
import { figuresOf } from './figures.js'
import { limitOf } from './find-limit.js'
import type { BenchFindings, BenchPlan } from './plan.js'
import { plotOf } from './plots.js'
import { runBench } from './run.js'
import { textOf } from './text.js'

const EXAMPLES = `
Examples:
  $ hookring bench ./plugins/limiter.ts --config '{"maxBytes": 65536}'
  $ hookring bench hookring/hooks/payload-limiter --config @limits.json --compare inline,piscina
  $ hookring bench ./auth.js --contract ./shop-contract.ts#shop --hookpoint onOrder --rate 2000
  $ hookring bench ./auth.js --find-limit --slo-p99 5 --svg limit.svg
  $ hookring bench ./stranger.js --trust untrusted --contract delivery
  $ hookring bench ./auth.js --replay traffic.ndjson --json > result.json

Latency is counted around each call: waiting is the time in queues and until the lane wakes up, running is the time in
plugins, total is what the caller sees. At a rate it counts from when a call was due, so that a stall is not hidden.

Exit codes: 0 measured; 1 calls failed, or no rate was held; 2 wrong usage, or a plugin could not be loaded; 130 ended by
Ctrl-C, the figures so far printed.`

interface BenchOptions {
  readonly contract?: string
  readonly hookpoint?: string
  readonly config: readonly unknown[]
  readonly trust?: 'trusted' | 'untrusted'
  readonly runtime?: string
  readonly boundary?: string
  readonly workers?: number
  readonly timeout?: number
  readonly wait?: string
  readonly seed: number
  readonly replay?: string
  readonly rate?: number
  readonly inFlight: readonly number[]
  readonly duration: number
  readonly warmup: number
  readonly compare: readonly ContenderName[]
  readonly findLimit?: boolean
  readonly sloP99: number
  readonly json?: boolean
  readonly svg?: string
}

export function benchCommand(): Command {
  return new Command('bench')
    .description('Measure what plugins cost at a hookpoint.')
    .argument('<plugin...>', 'files or packages, loaded as the engine would; several make a chain')
    .option('--contract <name>', 'a contract that ships, or ./file.ts#export; default: the one that the plugin is for')
    .option('--hookpoint <name>', 'which to call; default: the first that the plugins subscribe to')
    .option('--config <json|@file>', "the plugin's config; once for each plugin, in their order", jsonFrom, [])
    .addOption(
      new Option('--trust <word>', 'untrusted: run them as an engine runs what its operator does not trust').choices([
        ...['trusted', 'untrusted'],
      ]),
    )
    .option('--runtime <name>', 'how the plugins are run: module, compartment, quickjs, wasm, native')
    .option('--boundary <name>', 'thread, or process: a child process behind the lane')
    .option('--workers <count>', 'lanes', numberFrom(1, { isWhole: true, most: 256 }))
    .option('--timeout <ms>', 'time for a hook', numberFrom(0.001, { most: 2_147_483_647 }))
    .addOption(new Option('--wait <how>', 'how both sides wait').choices(['adaptive', 'park', 'spin']))
    .option('--seed <number>', 'for the made-up events', numberFrom(0, { isWhole: true }), 1)
    .option('--replay <file>', 'events of a recording in place of made-up ones')
    .option('--in-flight <counts>', 'closed loop: calls under way at once, one run for each count', levelsFrom, [1, 64])
    .option('--rate <per second>', 'open loop: calls by the clock', numberFrom(0.1, { most: 10_000_000 }))
    .option(
      '--duration <time>',
      'of each run; with --find-limit of each rate (default: 5s, with --find-limit 1s)',
      durationFrom,
    )
    .option('--warmup <time>', 'before each run (default: 1s)', durationFrom)
    .option(
      '--compare <names>',
      `the same plugins beside other ways: ${CONTENDER_NAMES.join(', ')}`,
      contendersFrom,
      [],
    )
    .option('--find-limit', 'search the highest rate that holds --slo-p99; starts at --rate or 1000')
    .option('--slo-p99 <ms>', 'the p99 to hold', numberFrom(0.001), 5)
    .option('--json', 'one JSON document on stdout')
    .option('--svg <file>', 'draw latency by percentile, or by rate')
    .addHelpText('after', EXAMPLES)
    .action(async (plugins: string[], _: unknown, command: Command) => {
      const options = command.opts<BenchOptions>()
      await bench(planOf(plugins, options, command), options)
    })
}

async function bench(plan: BenchPlan, { json, svg }: BenchOptions): Promise<void> {
  const control: TurnControl = { isStopped: false, onStop: () => {} }
  process.on('SIGINT', () => {
    if (control.isStopped) process.exit(EXIT_INTERRUPTED)
    control.isStopped = true
    control.onStop()
  })
  const findings = await runBench(plan, new ProgressLine('hookring bench'), control)
  if (svg !== undefined) writePlot(svg, plotOf(findings))
  const text = json ? `${JSON.stringify(documentOf(findings))}\n` : textOf(findings, styleFor(process.stdout))
  await print(process.stdout, text)
  await endProcess(false, exitCodeOf(findings))
}

function exitCodeOf({ plan, measured, steps, isInterrupted }: BenchFindings): number {
  if (isInterrupted) return EXIT_INTERRUPTED
  if (plan.limit !== undefined) return limitOf(steps) === undefined ? EXIT_FINDINGS : EXIT_GOOD
  const isSound = measured.every((one) => one.broken === undefined && figuresOf(one)?.failed === 0)
  return isSound ? EXIT_GOOD : EXIT_FINDINGS
}

function writePlot(file: string, plot: string): void {
  try {
    writeFileSync(file, plot)
  } catch (error) {
    throw new UsageError('OPTIONS_INVALID', `--svg: ${(error as Error).message}`)
  }
}

function planOf(plugins: readonly string[], options: BenchOptions, command: Command): BenchPlan {
  if (options.config.length > plugins.length) {
    throw new UsageError(
      'OPTIONS_INVALID',
      `--config was given ${options.config.length} times for ${plugins.length} plugin${plugins.length === 1 ? '' : 's'}`,
    )
  }
  const { hookpoint, seed, replay, trust, runtime, boundary, workers, timeout, wait, rate } = options
  const isBinary = runtime === 'wasm' || runtime === 'native'
  if (isBinary && options.compare.length > 0) {
    throw new UsageError('OPTIONS_INVALID', `--compare needs plugins that are JavaScript modules, not ${runtime}`)
  }
  if (trust === 'untrusted' && options.compare.length > 0) {
    throw new UsageError('OPTIONS_INVALID', '--compare would run the plugins unconfined: leave out --trust untrusted')
  }
  const isConfined =
    trust === 'untrusted' || boundary === 'process' || runtime === 'quickjs' || runtime === 'compartment'
  if (isConfined && options.contract === undefined) {
    throw contractUnsaid('bench')
  }
  const isSearch = options.findLimit === true
  if (isSearch && options.compare.length > 0) {
    throw new UsageError('OPTIONS_INVALID', '--find-limit measures one contender at a time: leave out --compare')
  }
  if (rate !== undefined && command.getOptionValueSource('inFlight') === 'cli') {
    throw new UsageError('OPTIONS_INVALID', '--rate calls by the clock and --in-flight as fast as it goes: take one')
  }
  const loads: Load[] =
    rate === undefined
      ? [...new Set(options.inFlight)].map((inFlight) => ({ kind: 'closed', inFlight }))
      : [{ kind: 'open', ratePerSecond: rate }]
  return {
    question: {
      plugins: plugins.map((from, index) => ({
        from: pluginFrom(from),
        ...(index < options.config.length ? { config: options.config[index] } : {}),
      })),
      // A binary does not say for which contract it was written; the C ABI is that of delivery.
      contract: options.contract ?? (isBinary ? 'delivery' : undefined),
      hookpoint,
      seed,
      replay,
    },
    engine: {
      ...(trust === undefined ? {} : { trust }),
      ...(runtime === undefined ? {} : { runtime }),
      ...(boundary === undefined ? {} : { boundary }),
      ...(workers === undefined ? {} : { workers }),
      ...(timeout === undefined ? {} : { timeoutMs: timeout }),
      ...(wait === undefined ? {} : { wait }),
    },
    loads: isSearch ? [] : loads,
    compare: options.compare,
    durationMs: options.duration ?? (isSearch ? 1000 : 5000),
    warmUpMs: options.warmup ?? 1000,
    limit: isSearch ? { sloP99Ms: options.sloP99, startRate: rate ?? 1000 } : undefined,
  }
}

function contendersFrom(text: string): ContenderName[] {
  const names = text.split(',').map((name) => name.trim())
  for (const name of names) {
    if (!CONTENDER_NAMES.includes(name as ContenderName)) {
      throw new InvalidArgumentError(`There is no contender ${name}; the contenders are ${CONTENDER_NAMES.join(', ')}.`)
    }
  }
  return [...new Set(names)] as ContenderName[]
}
