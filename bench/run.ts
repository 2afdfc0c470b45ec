/**
 * The benches' command line: `CASE [--quick] [--json]`. Results also go to bench/results/.
 *
 * Exit codes: 0 the case ran; 1 it could not be completed, or something happened that must never happen; 2 bad usage.
 * A claim about speed that a noisy machine refutes is marked in the table and is no error.
 */
import { parseArgs } from 'node:util'
import { ProgressLine, readCpuTicks, stolenShare } from './instruments.js'
import { type BenchCase, withStolenShare, writeResults } from './report.js'

const CASES: Readonly<Record<string, () => Promise<BenchCase>>> = {
  peers: async () => (await import('./cases/peers.js')).peers,
  rpc: async () => (await import('./cases/rpc.js')).rpc,
  sizes: async () => (await import('./cases/sizes.js')).sizes,
  chain: async () => (await import('./cases/chain.js')).chain,
  recovery: async () => (await import('./cases/recovery.js')).recovery,
  startup: async () => (await import('./cases/startup.js')).startup,
  idle: async () => (await import('./cases/idle.js')).idle,
  mqtt: async () => (await import('./cases/mqtt.js')).mqtt,
  memory: async () => (await import('./cases/memory.js')).memory,
  runtimes: async () => (await import('./cases/runtimes.js')).runtimes,
  http: async () => (await import('./cases/http.js')).http,
  exhook: async () => (await import('./cases/exhook.js')).exhook,
  unsubscribed: async () => (await import('./cases/unsubscribed.js')).unsubscribed,
}

async function usage(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(CASES).map(async ([name, load]) => `  ${name.padEnd(14)}${(await load()).answers}`),
  )
  return [
    'usage: npm run bench -- CASE [--quick] [--json]',
    '',
    ...lines,
    '',
    '  --quick  end within 45 seconds',
    '  --json   one JSON document on stdout, and nothing else',
    '',
  ].join('\n')
}

async function main(): Promise<number> {
  let parsed: ReturnType<typeof parse>
  try {
    parsed = parse()
  } catch (error) {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${await usage()}`)
    return 2
  }
  const [name] = parsed.positionals
  const load = name === undefined || !Object.hasOwn(CASES, name) ? undefined : CASES[name]
  if (load === undefined || parsed.positionals.length !== 1) {
    const complaint =
      name === undefined
        ? 'name a case'
        : load === undefined
          ? `no case named ${JSON.stringify(name)}`
          : 'name one case only'
    process.stderr.write(`bench: ${complaint}\n\n${await usage()}`)
    return 2
  }
  const progress = new ProgressLine(name as string)
  const bench = await load()
  const ticksBefore = readCpuTicks()
  const measured = await bench.run({ quick: parsed.values.quick === true, progress }).finally(() => progress.done())
  const outcome = withStolenShare(measured, stolenShare(ticksBefore, readCpuTicks()))
  const folder = writeResults(outcome)
  if (parsed.values.json === true) {
    await print(`${JSON.stringify(outcome.document)}\n`)
  } else {
    await print(`${outcome.markdown}\n\nWritten to ${folder}\n`)
  }
  if (!outcome.isComplete) process.stderr.write(`bench: ${name} is not complete; the notes say what is missing\n`)
  return outcome.isComplete ? 0 : 1
}

function parse() {
  return parseArgs({ allowPositionals: true, options: { quick: { type: 'boolean' }, json: { type: 'boolean' } } })
}

function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => process.stdout.write(text, (error) => (error ? reject(error) : resolve())))
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exitCode = 1
  },
)
