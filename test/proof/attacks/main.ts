/**
 * `npm run attacks`: plugins that mean harm, against every runtime and boundary, and what each came to.
 *
 * Exit codes: 0 nothing got through where that is promised; 1 something did; 2 wrong usage.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { runProgram, statusLine } from '../hostile/command-line.js'
import type { AttackRequest } from './attacked-process.js'
import { type Campaign, runCampaign } from './campaign.js'
import { ATTACKS, BOUNDARIES, CLASSES, isGuaranteed, RUNTIMES, runtimesOf } from './corpus.js'
import { documentOf, findingsOf, textOf } from './report.js'

const USAGE = `usage: npm run attacks -- [--runtime R]... [--boundary B]... [--class C]... [--attack NAME]... [--quick] [--list] [--json]

Runs ${ATTACKS.length} attacks against every runtime and boundary in which they can be expressed. Each has a server's process with an
engine, an honest plugin and another one of the attacker's runtime as neighbours, and canaries all around: a secret in
the environment, one in a file, one that a neighbour keeps, a port, a broadcast channel, the server's own globals.

  --runtime R   ${RUNTIMES.join(', ')}; may be given several times
  --boundary B  ${BOUNDARIES.join(', ')}
  --class C     ${CLASSES.join(', ')}
  --attack NAME only this one
  --quick       about one attack in eight, where containment is promised
  --list        names the attacks and ends
  --json        one JSON document on stdout, and nothing else
  --help

  npm run attacks
  npm run attacks -- --runtime quickjs --boundary thread --class denial
  npm run attacks -- --attack 'a loop' --json

Outcomes: contained (the call came to a verdict or a failure, and nothing else), refused (it was not loaded), escaped (a
canary was reached), wrong-verdict (a neighbour's verdict was wrong or late), wedged (it does not serve again, or left a
thread that nothing ends), host-died, too-much-memory (the server grew by more than the plugin's limit and three tenths). Containment is promised for quickjs, wasm and anything behind the process boundary;
the other rows show what is not.

Exit codes: 0 nothing got through where that is promised; 1 something did, or a server's loop stood still for more than
20 ms there; 2 wrong usage.
`

/** Every eighth, so that each class has some. */
const QUICK_EVERY = 8

async function main(): Promise<number> {
  const options = readOptions()
  if (typeof options === 'number') return options
  const status = statusLine()
  const interrupt = new AbortController()
  process.once('SIGINT', () => interrupt.abort())
  const { requests, isJson } = options
  const campaign: Campaign = await runCampaign({
    requests,
    processes: Math.max(1, Math.min(4, availableParallelism())),
    signal: interrupt.signal,
    onRow: ({ runtime, boundary, attack }, done) =>
      status.say(`attacks ${done} of ${requests.length}: ${runtime}, ${boundary}: ${attack}`),
  }).finally(() => status.end())
  process.stdout.write(isJson ? `${JSON.stringify(documentOf(campaign))}\n` : textOf(campaign))
  return findingsOf(campaign).length === 0 ? 0 : 1
}

function readOptions(): { requests: AttackRequest[]; isJson: boolean } | number {
  try {
    const { values } = parseArgs({
      options: {
        runtime: { type: 'string', multiple: true },
        boundary: { type: 'string', multiple: true },
        class: { type: 'string', multiple: true },
        attack: { type: 'string', multiple: true },
        quick: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      return 0
    }
    if (values.list) {
      for (const attack of ATTACKS) {
        process.stdout.write(`${attack.class.padEnd(10)} ${attack.name} (${runtimesOf(attack).join(', ')})\n`)
      }
      return 0
    }
    checkNames('runtime', values.runtime, RUNTIMES)
    checkNames('boundary', values.boundary, BOUNDARIES)
    checkNames('class', values.class, CLASSES)
    checkNames(
      'attack',
      values.attack,
      ATTACKS.map(({ name }) => name),
    )
    const isWanted = (wanted: readonly string[] | undefined, name: string) =>
      wanted === undefined || wanted.includes(name)
    const chosen = ATTACKS.filter(
      (attack) => isWanted(values.class, attack.class) && isWanted(values.attack, attack.name),
    )
    const requests = RUNTIMES.flatMap((runtime) =>
      BOUNDARIES.flatMap((boundary) => {
        if (!isWanted(values.runtime, runtime) || !isWanted(values.boundary, boundary)) return []
        if (values.quick && !isGuaranteed(runtime, boundary)) return []
        return chosen
          .filter((attack) => runtimesOf(attack).includes(runtime))
          .filter((attack) => attack.kind !== 'binary' || (attack.boundary ?? boundary) === boundary)
          .filter((_, at) => !values.quick || at % QUICK_EVERY === 0)
          .map((attack): AttackRequest => ({ attack, runtime, boundary }))
      }),
    )
    return { requests, isJson: values.json }
  } catch (error) {
    process.stderr.write(`attacks: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
}

function checkNames(option: string, given: readonly string[] | undefined, known: readonly string[]): void {
  const unknown = given?.find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new Error(`--${option}: there is no ${JSON.stringify(unknown)}; there are: ${known.join(', ')}`)
}

runProgram('attacks', main)
