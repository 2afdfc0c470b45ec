/** Brokers of a cluster, each in a process of its own. Ended when the test, or the file, is over. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { fixture, until } from './lab.js'

export interface BrokerProcess {
  readonly nodeId: string
  readonly url: string
  /** What it has said so far, one object a line. */
  readonly said: readonly Record<string, unknown>[]
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves with its exit code. */
  stop(): Promise<number | null>
}

export interface BrokerProcessOptions {
  readonly hook: 'redis' | 'cluster'
  readonly config: { readonly nodeId: string } & Record<string, unknown>
  readonly options?: Record<string, unknown>
  readonly engine?: Record<string, unknown>
}

const running = new Set<ChildProcess>()

/** Rejects with what it says when it is refused. */
export async function startBrokerProcess(options: BrokerProcessOptions): Promise<BrokerProcess> {
  const file = fileURLToPath(fixture('cluster/broker.mjs'))
  const child = spawn(process.execPath, [file, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] })
  running.add(child)
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  void gone.then(() => running.delete(child))
  const said: Record<string, unknown>[] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    const lines = (rest + part).split('\n')
    rest = lines.pop() ?? ''
    said.push(...lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line)))
  })
  const find = (what: string) => said.find((line) => line.what === what)
  await until('a broker', () => find('listening') !== undefined || find('refused') !== undefined, 20_000)
  const refused = find('refused')
  if (refused !== undefined) {
    await gone
    throw Object.assign(new Error(String(refused.message)), { code: refused.code })
  }
  return {
    nodeId: options.config.nodeId,
    url: `mqtt://127.0.0.1:${find('listening')?.port}`,
    said,
    async kill() {
      child.kill('SIGKILL')
      await gone
    },
    async stop() {
      child.kill('SIGTERM')
      await gone
      return child.exitCode
    },
  }
}

export async function killBrokers(): Promise<void> {
  const all = [...running]
  for (const child of all) child.kill('SIGKILL')
  await until('brokers to be gone', () => running.size === 0)
}
