/**
 * A Redis of a test's own: on a unix socket and a port of the loopback, in a temporary folder, gone with the test. Needs
 * redis-server; where there is none, `noRedis` says so and tests are skipped.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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

/** Paths of PEM files. */
export interface RedisTls {
  readonly cert: string
  readonly key: string
  readonly ca: string
  /** A client must show a certificate too. */
  readonly asksClients?: boolean
}

export interface RedisOptions {
  /** Every write is on disk before it is answered. */
  readonly keeps?: boolean
  readonly cluster?: boolean
  /** Its port speaks TLS. */
  readonly tls?: RedisTls
  readonly password?: string
  /** The port of its primary. */
  readonly replicaOf?: number
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const { keeps = false, cluster = false, tls, password, replicaOf } = options
  const folder = mkdtempSync(join(tmpdir(), 'hookring-redis-'))
  const path = join(folder, 'socket')
  const port = await freePort()
  const args = ['--bind', '127.0.0.1', '--unixsocket', path, '--dir', folder, '--save', '']
  args.push('--appendonly', keeps ? 'yes' : 'no', '--appendfsync', 'always')
  if (cluster) args.push('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1')
  if (tls === undefined) args.push('--port', String(port))
  else {
    args.push('--port', '0', '--tls-port', String(port), '--tls-auth-clients', tls.asksClients ? 'yes' : 'no')
    args.push('--tls-cert-file', tls.cert, '--tls-key-file', tls.key, '--tls-ca-cert-file', tls.ca)
  }
  if (password !== undefined) args.push('--requirepass', password)
  if (replicaOf !== undefined) args.push('--replicaof', '127.0.0.1', String(replicaOf))
  let child: ChildProcess = await start()
  const login = password === undefined ? {} : { password }
  const client = new Redis({ path, ...login, lazyConnect: true, retryStrategy: () => 20 })
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

/** A Sentinel that watches over a primary, `mymaster`, and decides by itself. Its address is `HOST:PORT`. */
export async function startSentinel(primary: RedisServer): Promise<{ addr: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'hookring-sentinel-'))
  const port = await freePort()
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor mymaster 127.0.0.1 ${primary.port} 1`,
    'sentinel down-after-milliseconds mymaster 500',
    'sentinel failover-timeout mymaster 2000',
  ]
  const file = join(folder, 'sentinel.conf')
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: ['ignore', 'ignore', 'inherit'] })
  const client = new Redis(port, '127.0.0.1', { lazyConnect: true, retryStrategy: () => 20 })
  client.on('error', () => {})
  // It learns of the replicas from the primary.
  const isReady = async () => {
    const [fields = []] = (await client.call('SENTINEL', 'MASTERS').catch(() => [])) as string[][]
    return fields[fields.indexOf('num-slaves') + 1] === '1'
  }
  await until('the Sentinel to know the replica', isReady, 20_000)
  return {
    addr: `127.0.0.1:${port}`,
    async stop() {
      client.disconnect()
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
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
