/**
 * `npm run hostile`: besieges an engine with plugins that own their lane, and tells what it cost everybody else.
 *
 * Exit codes: 0 nothing was found; 1 something was; 2 wrong usage.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ATTACKS } from './attack-list.mjs'
import { runCampaign } from './campaign.js'
import { packageRoot, runProgram, statusLine, wholeNumber } from './command-line.js'
import type { HostileReport } from './figures.js'

const USAGE = `usage: npm run hostile -- [--completions N] [--seed S] [--attack NAME]... [--json]

Besieges an engine: two plugins in one bulkhead own their lane's memory and attack the host through it, while honest
plugins in two other bulkheads are asked all the time. When a lane is replaced, the plugins are released from quarantine
and the next attack begins, until enough hostile completions were made.

  --completions N  hostile completions to make (default 1000000)
  --seed S         what the attacks' randomness comes from (default: the time); a run prints it. Threads race, so a
                   seed repeats what is attempted, not the moment at which it lands
  --attack NAME    only this attack; may be given several times
  --json           one JSON document on stdout, and nothing else
  --help

  npm run hostile
  npm run hostile -- --completions 20000 --seed 7 --json
  npm run hostile -- --completions 5000 --attack 'flips by a thread'

What is counted
  completions     entries of the attacker's completion queue that the host acted upon: took as the verdict of a call, or
                  refused as a violation. Entries behind a violation are never looked at; \`pushed\` counts them too.
  violations      by kind, from the metric protocol_violations_total.
  wrongVerdicts   verdicts that break what is promised: (1) a call to a neighbour, or the part that a neighbour has
                  in a call it shares with the attacker, came to anything but what the neighbour says of that event;
                  (2) a call to the attacker came to what stood in another call's extent, or to what its own extent held
                  in an earlier use: every extent is tagged with its call's number when the attacker takes the call over;
                  (3) a call to the attacker was decided in the name of a plugin that was not asked. Any verdict that the
                  attacker gives of its own call is its own affair, also when it carries bytes from call to call itself
                  ("swapped bytes", "scribbles ..."); of those attacks (2) says nothing.
  hostErrors      uncaught exceptions and rejections, \`error\` events, calls that were refused or had not settled 1 s after
                  their deadline, lanes that outlived an attack, neighbours' lanes lost, plugins not quarantined.
  neighbour       the neighbours' latency in a window with attacks, divided by that in the window before it, in which the
                  same plugins are asked as often and answer honestly; of all pairs of windows the median. Calls are timed from when they are made; the
                  event loop's delay stands beside it. Attackers that spin, and threads that boot, take turns with
                  everybody else on the machine's cores: with few cores that is most of the difference. A lane
                  that is being replaced is asked nothing, which is why a median may even fall.

Exit codes: 0 nothing found; 1 wrong verdicts, host errors, or ratios above 1.5 (p50) and 3 (p99); 2 wrong usage.
`

const MOST_P50 = 1.5
const MOST_P99 = 3

interface Options {
  readonly completions: number
  readonly seed: number
  readonly attacks: readonly string[] | undefined
  readonly isJson: boolean
}

async function main(): Promise<number> {
  const options = readOptions()
  if (typeof options === 'number') return options
  const status = statusLine()
  const interrupt = new AbortController()
  process.once('SIGINT', () => interrupt.abort())
  const report = await runCampaign({
    seed: options.seed,
    completions: options.completions,
    attacks: options.attacks,
    // From the source: the plugins import what the package was built to.
    folder: join(packageRoot(), 'test', 'proof', 'hostile'),
    signal: interrupt.signal,
    onProgress: (completions, attack) =>
      status.say(`hostile ${Math.floor((completions / options.completions) * 100)} %  ${completions}, ${attack}`),
  }).finally(() => status.end())
  process.stdout.write(options.isJson ? `${JSON.stringify(report)}\n` : textOf(report, options))
  return findingsOf(report, options).length === 0 ? 0 : 1
}

function readOptions(): Options | number {
  try {
    const { values } = parseArgs({
      options: {
        completions: { type: 'string', default: '1000000' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
        attack: { type: 'string', multiple: true },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      return 0
    }
    const unknown = values.attack?.find((name) => !Object.hasOwn(ATTACKS, name))
    if (unknown !== undefined) {
      throw new Error(`no attack ${JSON.stringify(unknown)}; there are: ${Object.keys(ATTACKS).join(', ')}`)
    }
    return {
      completions: wholeNumber('completions', values.completions, 1),
      seed: wholeNumber('seed', values.seed, 0),
      attacks: values.attack,
      isJson: values.json,
    }
  } catch (error) {
    process.stderr.write(`hostile: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
}

/** What the run must not end with, in words. */
function findingsOf(report: HostileReport, { completions }: Options): string[] {
  const { p50Ratio, p99Ratio } = report.neighbour
  const findings = [...report.wrongVerdictsFound, ...report.hostErrorsFound]
  if (report.wasInterrupted) return findings
  if (report.completions < completions) findings.push(`${report.completions} completions of ${completions}`)
  if (Number.isNaN(p50Ratio)) {
    findings.push('no two windows were long enough to compare: make more completions')
    return findings
  }
  if (!(p50Ratio <= MOST_P50)) findings.push(`the neighbours' p50 rose ${p50Ratio} times, more than ${MOST_P50}`)
  if (!(p99Ratio <= MOST_P99)) findings.push(`the neighbours' p99 rose ${p99Ratio} times, more than ${MOST_P99}`)
  return findings
}

function textOf(report: HostileReport, options: Options): string {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none'
  const { undisturbed, disturbed, neighbour } = report
  const findings = findingsOf(report, options)
  const row = (name: string, from: typeof disturbed) =>
    `  ${name.padEnd(14)}${from.p50Us} µs p50, ${from.p99Us} µs p99 of ${from.calls} calls; ` +
    `event loop late by ${from.loopDelayP99Ms} ms p99, ${from.loopDelayMaxMs} ms at most`
  return [
    `${report.completions} hostile completions in ${report.seconds} s (${report.pushed} pushed), seed ${report.seed}${report.wasInterrupted ? ', interrupted' : ''}`,
    `attacks        ${list(report.attacks)}`,
    `violations     ${list(report.violations)}`,
    `lanes          ${list(report.lanesReplaced)} replaced; ${report.quarantines} quarantines, ${report.reloads} reloads`,
    `neighbours     ${report.neighbourVerdicts} verdicts of their own calls, all judged`,
    `wrong verdicts ${report.wrongVerdicts}`,
    `host errors    ${report.hostErrors}`,
    `latency        p50 ${neighbour.p50Ratio}x, p99 ${neighbour.p99Ratio}x of windows in which the same plugins answer the same calls honestly (median of ${report.windowPairs} pairs)`,
    row('undisturbed', undisturbed),
    row('disturbed', disturbed),
    ...(findings.length === 0 ? [] : ['', 'found:', ...findings.map((finding) => `  ${finding}`)]),
    '',
  ].join('\n')
}

runProgram('hostile', main)
