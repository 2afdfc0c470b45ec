/**
 * `hookring check`: what a plugin is, what it costs, and what is wrong with it. Reads the options, runs the checks, prints.
 */
import { Command } from 'commander'
import { contractUnsaid, jsonFrom, numberFrom, pluginFrom } from '../common/arguments.js'
import { UsageError } from '../common/errors.js'
import { EXIT_FINDINGS, EXIT_GOOD, EXIT_INTERRUPTED, EXIT_USAGE, endProcess, print } from '../common/exit.js'
import { styleFor } from '../common/style.js'
import { rounded } from '../measure/format.js'
import { ProgressLine } from '../measure/progress-line.js'
import type { CheckQuestion, Confinement, PluginReport } from './report.js'
import { type CheckControl, runChecks } from './run.js'
import { textOf } from './text.js'

const EXAMPLES = `
Examples:
  $ hookring check ./plugins/limiter.ts --config '{"maxBytes": 65536}'
  $ hookring check hookring/hooks/tracing ./audit.js --events 10000 --seed 7
  $ hookring check ./auth.js --contract ./shop-contract.ts#shop --timeout 20
  $ hookring check ./auth.js --replay traffic.ndjson --json > report.json
  $ hookring check ./stranger.js --trust untrusted --contract delivery

Each plugin is loaded in a process of its own, in a lane as an engine would, and asked about made-up or recorded events
at every hookpoint that it subscribes to. What is found has an id, the first event at which it was seen (the same seed
makes the same event again), and what to do about it.

That process can do what you can: of a plugin that you have not read, say --trust untrusted. It then runs as it would in
an engine and in no other way; its config, its memory and its signals, which take more, are not looked at.

Exit codes: 0 nothing found; 1 findings; 2 wrong usage, or a plugin could not be loaded; 130 ended by Ctrl-C, the
reports so far printed.`

interface CheckOptions {
  readonly config: readonly unknown[]
  readonly contract?: string
  readonly events: number
  readonly seed: number
  readonly replay?: string
  readonly timeout: number
  readonly setupTimeout: number
  readonly trust?: string
  readonly runtime?: string
  readonly boundary?: string
  readonly json?: boolean
}

export function checkCommand(): Command {
  return new Command('check')
    .description('Find out what plugins are, and what is wrong with them.')
    .argument('<plugin...>', 'files or packages, loaded as the engine would')
    .option('--config <json|@file>', "the plugin's config; once for each plugin, in their order", jsonFrom, [])
    .option('--contract <name>', 'a contract that ships, or ./file.ts#export; default: the one that the plugin is for')
    .option('--events <count>', 'for each hookpoint', numberFrom(1, { isWhole: true, most: 1_000_000 }), 1000)
    .option('--seed <number>', 'for the made-up events', numberFrom(0, { isWhole: true }), 1)
    .option('--replay <file>', 'events of a recording in place of made-up ones')
    .option('--timeout <ms>', 'time for a hook', numberFrom(1, { most: 60_000 }), 100)
    .option('--setup-timeout <ms>', 'time for import, and for setup', numberFrom(1, { most: 600_000 }), 10_000)
    .option(
      '--trust <word>',
      'untrusted: run them as an engine runs what its operator does not trust, and not otherwise',
    )
    .option('--runtime <name>', 'run them so alone: quickjs, compartment, wasm, native')
    .option('--boundary <name>', 'process: run them in a child process behind the lane alone')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', EXAMPLES)
    .action(async (plugins: string[], _: unknown, command: Command) => {
      const options = command.opts<CheckOptions>()
      await check(questionsOf(plugins, options), options)
    })
}

async function check(questions: readonly CheckQuestion[], { json, seed, events }: CheckOptions): Promise<void> {
  const control: CheckControl = { isStopped: false, onStop() {} }
  process.on('SIGINT', () => {
    control.isStopped = true
    control.onStop()
  })
  const progress = new ProgressLine('hookring check')
  const reports = await runChecks(questions, progress, control)
  const text = json
    ? `${JSON.stringify({ seed, events, plugins: reports }, roundly)}\n`
    : textOf(reports, styleFor(process.stdout))
  await print(process.stdout, text)
  await endProcess(false, control.isStopped ? EXIT_INTERRUPTED : exitCodeOf(reports))
}

const roundly = (_: string, value: unknown) =>
  typeof value === 'number' && !Number.isInteger(value) ? rounded(value) : value

function exitCodeOf(reports: readonly PluginReport[]): number {
  if (reports.some(({ isLoaded }) => !isLoaded)) return EXIT_USAGE
  return reports.some(({ findings }) => findings.length > 0) ? EXIT_FINDINGS : EXIT_GOOD
}

function questionsOf(plugins: readonly string[], options: CheckOptions): CheckQuestion[] {
  const { config, contract, events, seed, replay, timeout, setupTimeout } = options
  if (config.length > plugins.length) {
    throw new UsageError('OPTIONS_INVALID', `--config was given ${config.length} times for ${plugins.length} plugins`)
  }
  const confinement = confinementOf(options)
  return plugins.map((plugin, index) => ({
    from: pluginFrom(plugin),
    shown: plugin,
    ...(index < config.length ? { config: config[index] } : {}),
    contract: confinement === null ? contract : confinedContract(plugin, contract, confinement),
    events,
    seed,
    replay,
    timeoutMs: timeout,
    setupTimeoutMs: setupTimeout,
    confinement,
  }))
}

function confinementOf({ trust, runtime, boundary }: CheckOptions): Confinement | null {
  const confinement: Confinement = {
    ...(trust === undefined || trust === 'trusted' ? {} : { trust }),
    ...(runtime === undefined || runtime === 'module' ? {} : { runtime }),
    ...(boundary === undefined || boundary === 'thread' ? {} : { boundary }),
  }
  return Object.keys(confinement).length === 0 ? null : confinement
}

/** Behind the C ABI there is one contract. */
function confinedContract(plugin: string, contract: string | undefined, { runtime }: Confinement): string {
  if (contract !== undefined) return contract
  if (runtime === 'wasm' || runtime === 'native' || /\.(?:wasm|so|dylib|dll)$/.test(plugin)) return 'delivery'
  throw contractUnsaid('check')
}
