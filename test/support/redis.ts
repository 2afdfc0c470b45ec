/**
 * A Redis of a test's own: on a unix socket and a port of the loopback, in a temporary folder, gone with the test. Needs
 * redis-server; where there is none, `noRedis` says so and tests are skipped.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { until } from './until.js'

/** Why there is no Redis here; null: there is one. */
export const noRedis: string | null =
  spawnSync('redis-server', ['--version'], { timeout: 10_000 }).status === 0 ? null : 'redis-server is not installed'

export interface RedisServer {
  /** Its unix socket. */
  readonly path: string
  readonly port: number
  /** `HOST:PORT`. */
  readonly addr: string
  /** A client for looking at what is there; closed with the server. */
  readonly client: Redis
  /** SIGKILL. */
  kill(): Promise<void>
  /** Starts it again, on what it has kept. */
  restart(): Promise<void>
  /** It hangs: connections stay, nothing is answered. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** @param keeps every write is on disk before it is answered */
export async function startRedis({ keeps = false, cluster = false } = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'hookring-redis-'))
  const path = join(folder, 'socket')
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', path, '--dir', folder, '--save', '']
  args.push('--appendonly', keeps ? 'yes' : 'no', '--appendfsync', 'always')
  if (cluster) args.push('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1')
  let child: ChildProcess = await start()
  const client = new Redis({ path, lazyConnect: true, retryStrategy: () => 20 })
  client.on('error', () => {})

  async function start(): Promise<ChildProcess> {
    const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise<void>((resolve, reject) => {
      let said = ''
      started.once('exit', (code) => reject(new Error(`redis-server ended with ${code}: ${said}`)))
      started.stdout?.setEncoding('utf8').on('data', (part: string) => {
        said += part
        if (said.includes('Ready to accept connections')) resolve()
      })
    })
    return started
  }

  async function end(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  return {
    path,
    port,
    addr: `127.0.0.1:${port}`,
    client,
    kill: end,
    async restart() {
      await end()
      child = await start()
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    async stop() {
      client.disconnect()
      await end()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Three servers that share the slots of a Redis Cluster; their addresses. Stopped together. */
export async function startRedisCluster(): Promise<{ addrs: string[]; stop(): Promise<void> }> {
  const servers = await Promise.all([0, 1, 2].map(() => startRedis({ cluster: true })))
  const [first] = servers as [RedisServer, ...RedisServer[]]
  const bounds = [0, 5_461, 10_923, 16_384]
  for (const [index, { client, port }] of servers.entries()) {
    await client.cluster('ADDSLOTSRANGE', bounds[index] as number, (bounds[index + 1] as number) - 1)
    await client.cluster('SET-CONFIG-EPOCH', index + 1)
    if (index > 0) await first.client.cluster('MEET', '127.0.0.1', port)
  }
  const isReady = async ({ client }: RedisServer) => {
    const info = await client.cluster('INFO')
    return info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3')
  }
  await until('the cluster', async () => (await Promise.all(servers.map(isReady))).every(Boolean))
  return {
    addrs: servers.map(({ addr }) => addr),
    stop: async () => void (await Promise.all(servers.map((server) => server.stop()))),
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}
