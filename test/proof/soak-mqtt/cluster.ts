/** The cluster under test: a Redis that keeps what it has said yes to, and brokers in processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { packageRoot } from '../../../bench/report.js'
import { startRedis } from '../../support/redis.js'
import { until } from '../../support/until.js'
import { NODE_TTL_MS } from './plan.js'

export type Redis = Awaited<ReturnType<typeof startRedis>>

export const startKeepingRedis = (): Promise<Redis> => startRedis({ keeps: true })

const START_MS = 30_000

export class Node {
  readonly nodeId: string
  readonly #redisPath: string
  #child: ChildProcess | null = null
  #port = 0
  /** What it has warned of, the last lines. */
  readonly lines: string[] = []

  constructor(nodeId: string, redisPath: string) {
    this.nodeId = nodeId
    this.#redisPath = redisPath
  }

  get isRunning(): boolean {
    return this.#port !== 0
  }

  get port(): number {
    return this.#port
  }

  async start(): Promise<void> {
    const config = {
      ...{ addr: this.#redisPath, nodeId: this.nodeId, heartbeatIntervalMs: 300, nodeTtlMs: NODE_TTL_MS },
      ...{ takeoverMs: 300, queueMax: 100_000 },
    }
    const options = { hook: 'cluster', config, options: { timeoutMs: 2_000 } }
    const file = join(packageRoot(), 'test/fixtures/cluster/broker.mjs')
    const child = spawn(process.execPath, [file, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    let port = 0
    const hear = (line: string) => {
      if (line.includes('"listening"')) port = JSON.parse(line).port
      else if (/"warn"|"error"|refused|Error/.test(line)) this.#note(line)
    }
    readLines(child, hear)
    await until(`node ${this.nodeId}`, () => port !== 0 || child.exitCode !== null, START_MS)
    this.#port = child.exitCode === null ? port : 0
  }

  async kill(): Promise<void> {
    const child = this.#child
    this.#port = 0
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  stall(): void {
    this.#child?.kill('SIGSTOP')
  }

  goOn(): void {
    this.#child?.kill('SIGCONT')
  }

  #note(line: string): void {
    this.lines.push(`${this.nodeId} ${line.slice(0, 300)}`)
    if (this.lines.length > 50) this.lines.shift()
  }
}

function readLines(child: ChildProcess, hear: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    let rest = ''
    stream?.setEncoding('utf8').on('data', (part: string) => {
      const lines = (rest + part).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) hear(line)
    })
  }
}

/** A client's way into the cluster: an address that stays, and leads to the node that it is told. */
export class Gateway {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #node: Node

  private constructor(server: Server, node: Node) {
    this.#server = server
    this.#node = node
    server.on('connection', (socket) => this.#join(socket))
  }

  static async open(node: Node): Promise<Gateway> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Gateway(server, node)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  get node(): Node {
    return this.#node
  }

  /** Whoever comes from now on comes there. */
  lead(node: Node): void {
    this.#node = node
  }

  /** Breaks what is connected. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.break()
    this.#server.close()
  }

  #join(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    if (!this.#node.isRunning) {
      socket.destroy()
      return
    }
    const up = connect(this.#node.port, '127.0.0.1')
    up.on('error', () => socket.destroy()).on('close', () => socket.destroy())
    socket.on('close', () => up.destroy())
    socket.pipe(up).pipe(socket)
  }
}
