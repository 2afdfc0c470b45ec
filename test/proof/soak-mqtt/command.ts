/**
 * `npm run soak -- mqtt`: a cluster of brokers under publishers of numbered messages, while nodes and Redis are stopped,
 * killed and revived, and clients move; and a ledger of every message.
 */
import { parseArgs } from 'node:util'
import { ProgressLine } from '../../../bench/instruments.js'
import { runSoakMqtt, type SoakMqttDocument } from './run.js'

const USAGE = `usage: npm run soak -- mqtt [--minutes N] [--seed S] [--json]

Three brokers (processes) on one Redis that keeps what it has said yes to; two publishers of QoS 1 and 2, three subscribers,
all with sessions that stay. Nodes are stopped for less and for more than their TTL, killed and started again; Redis is
stopped, killed and started again; clients' connections break, and they come back to another node.

  --minutes N  how long, 2 by default; parts of a minute are good
  --seed S     a whole number, 1 by default: runs with one seed plan the same faults at the same times
  --json       one JSON document on stdout, and nothing else

What counts as what:

  acknowledged            PUBACK or PUBCOMP came to the publisher
  lost                    acknowledged, and a subscriber never got it: must be 0
  outOfOrder              first arrivals behind a later message of the same publisher and QoS: must be 0
  repeatedQos2            QoS 2 messages that came again, while no node was killed since they were published: must be 0
  repeatedQos2AfterDeath  the same, with a node killed in between
  repeatedQos1            QoS 1 messages that came again, as they may

Exit codes: 0 as it must be; 1 it is not, or the run broke off; 2 wrong usage.
`

export async function soakMqtt(args: readonly string[]): Promise<number> {
  let wanted: ReturnType<typeof parse>
  try {
    wanted = parse(args)
  } catch (error) {
    process.stderr.write(`soak mqtt: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
  if (wanted.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const document = await run(wanted)
  process.stdout.write(wanted.json ? `${JSON.stringify(document)}\n` : tell(document))
  return document.isClean ? 0 : 1
}

async function run({ minutes, seed }: { minutes: number; seed: number }): Promise<SoakMqttDocument> {
  const stop = new AbortController()
  const end = () => stop.abort()
  process.once('SIGINT', end).once('SIGTERM', end)
  const progress = new ProgressLine('soak')
  try {
    return await runSoakMqtt({
      minutes,
      seed,
      signal: stop.signal,
      onSecond: ({ elapsedS, faults, published, missing }) =>
        progress.step(`${Math.round(elapsedS)} s  ${published} published, ${missing} on their way, ${faults} faults`),
    })
  } finally {
    progress.done()
    process.off('SIGINT', end).off('SIGTERM', end)
  }
}

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
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
  return { minutes, seed, json: values.json, help: values.help }
}

function tell({ faults, amiss, lines, ...figures }: SoakMqttDocument): string {
  const { acknowledged, isClean, ...rest } = figures
  const rows = Object.entries({ ...rest, acknowledgedQos1: acknowledged.qos1, acknowledgedQos2: acknowledged.qos2 })
  const struck = Object.entries(faults).map(([kind, count]) => `${kind} ${count}`)
  const text = [
    ...rows.map(([name, value]) => `${name.padEnd(24)}${value}`),
    `${'faults'.padEnd(24)}${struck.join(', ')}`,
    ...amiss,
    ...lines,
    isClean ? 'Every acknowledged message arrived, in order.' : 'It is not as it must be.',
  ]
  return `${text.join('\n')}\n`
}
