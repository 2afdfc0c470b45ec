/** One run: three nodes, their Redis, clients that go on whatever happens, and the faults of the plan. */
import { Gateway, Node, type Redis, startKeepingRedis } from './cluster.js'
import { type Figures, isClean, Ledger } from './ledger.js'
import { FAULT_KINDS, type Fault, type FaultKind, planFaults } from './plan.js'
import { Publisher } from './publisher.js'
import { Subscriber } from './subscriber.js'

const NODES = ['a', 'b', 'c']
const SUBSCRIBERS = ['s1', 's2', 's3']
const PUBLISHERS = ['p1', 'p2']
/** Between two messages of a publisher. */
const PAUSE_MS = 8
/** For what is under way when the faults are over. */
const SETTLE_MS = 60_000

export interface SoakMqttOptions {
  readonly minutes: number
  readonly seed: number
  readonly signal?: AbortSignal
  onSecond?(progress: { elapsedS: number; faults: number; published: number; missing: number }): void
}

export interface SoakMqttDocument extends Figures {
  readonly seed: number
  readonly seconds: number
  readonly nodes: number
  readonly publishers: number
  readonly subscribers: number
  readonly faults: Readonly<Record<FaultKind, number>>
  /** Published and never acknowledged: nothing is promised of them. */
  readonly unacknowledged: number
  readonly isClean: boolean
  /** The first few of what was lost, came again or came late; and what the nodes said. */
  readonly amiss: readonly string[]
  readonly lines: readonly string[]
  /** Messages in the queues of the subscribers at the end. */
  readonly queuesLeft: number
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

export async function runSoakMqtt(options: SoakMqttOptions): Promise<SoakMqttDocument> {
  const redis = await startKeepingRedis()
  const stage = new Stage(redis)
  try {
    await stage.open()
    await stage.play(options)
    return stage.tell(options)
  } finally {
    await stage.close()
  }
}

class Stage {
  readonly #redis: Redis
  readonly #nodes: Node[]
  readonly #ledger = new Ledger(SUBSCRIBERS)
  readonly #subscribers: Subscriber[] = []
  readonly #publishers: Publisher[] = []
  readonly #faults = Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>
  /** Faults that are not over. */
  readonly #underWay = new Set<Promise<void>>()
  /** Nodes that stand still or are dead. */
  readonly #struck = new Set<Node>()
  #isRedisStruck = false
  #startedAtMs = performance.now()
  #seconds = 0
  #queuesLeft = 0

  constructor(redis: Redis) {
    this.#redis = redis
    this.#nodes = NODES.map((nodeId) => new Node(nodeId, redis.path))
  }

  async open(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.start()))
    const nowMs = () => performance.now() - this.#startedAtMs
    for (const [index, name] of SUBSCRIBERS.entries()) {
      const gateway = await Gateway.open(this.#nodes[index % NODES.length] as Node)
      const subscriber = new Subscriber(name, gateway, this.#ledger, nowMs)
      await subscriber.subscribe()
      this.#subscribers.push(subscriber)
    }
    for (const [index, name] of PUBLISHERS.entries()) {
      const gateway = await Gateway.open(this.#nodes[index % NODES.length] as Node)
      const publisher = new Publisher(name, gateway, { ledger: this.#ledger, nowMs, pauseMs: PAUSE_MS })
      publisher.connect()
      this.#publishers.push(publisher)
    }
  }

  async play({ minutes, seed, signal, onSecond }: SoakMqttOptions): Promise<void> {
    this.#startedAtMs = performance.now()
    for (const publisher of this.#publishers) publisher.start()
    const endMs = minutes * 60_000
    const timer = setInterval(() => this.#report(onSecond), 1_000)
    for (const fault of planFaults(seed)) {
      const waitMs = Math.min(fault.atMs, endMs) - (performance.now() - this.#startedAtMs)
      if (waitMs > 0) await sleep(waitMs)
      if (fault.atMs >= endMs || signal?.aborted) break
      this.#begin(fault)
    }
    await Promise.all(this.#underWay)
    await this.#settle()
    clearInterval(timer)
    for (const name of SUBSCRIBERS) this.#queuesLeft += await this.#redis.client.xlen(`mqtt:queue:${name}`)
    this.#seconds = Math.round((performance.now() - this.#startedAtMs) / 1_000)
  }

  tell({ seed }: SoakMqttOptions): SoakMqttDocument {
    const figures = this.#ledger.figures()
    const { qos1, qos2 } = figures.acknowledged
    return {
      seed,
      seconds: this.#seconds,
      nodes: NODES.length,
      publishers: PUBLISHERS.length,
      subscribers: SUBSCRIBERS.length,
      faults: this.#faults,
      ...figures,
      unacknowledged: figures.published - qos1 - qos2,
      isClean: isClean(figures),
      amiss: [...this.#ledger.missing(10).map((line) => `lost, ${line}`), ...this.#ledger.amiss],
      queuesLeft: this.#queuesLeft,
      lines: isClean(figures) ? [] : this.#nodes.flatMap(({ lines }) => lines.slice(-10)),
    }
  }

  async close(): Promise<void> {
    for (const client of [...this.#publishers, ...this.#subscribers]) {
      client.end()
      client.gateway.close()
    }
    await Promise.all(this.#nodes.map((node) => node.kill()))
    await this.#redis.stop()
  }

  #report(onSecond: SoakMqttOptions['onSecond']): void {
    const faults = Object.values(this.#faults).reduce((sum, count) => sum + count, 0)
    const { published, lost } = this.#ledger.figures()
    onSecond?.({ elapsedS: (performance.now() - this.#startedAtMs) / 1_000, faults, published, missing: lost })
  }

  #begin(fault: Fault): void {
    const struck = this.#strike(fault)
    if (struck === null) return
    this.#faults[fault.kind] += 1
    const over = struck.finally(() => this.#underWay.delete(over))
    this.#underWay.add(over)
  }

  /** Null: something of the kind is under way, and one thing of a kind is enough at a time. */
  #strike({ kind, ms, which, where }: Fault): Promise<void> | null {
    switch (kind) {
      case 'stallShort':
      case 'stallLong':
      case 'killNode':
        return this.#struck.size > 0 ? null : this.#strikeNode(kind, pick(this.#nodes, which), ms)
      case 'killRedis':
      case 'stallRedis':
        return this.#isRedisStruck ? null : this.#strikeRedis(kind, ms)
      case 'moveSubscriber':
        return this.#move(pick(this.#subscribers, which).gateway, where, ms)
      case 'movePublisher':
        return this.#move(pick(this.#publishers, which).gateway, where, ms)
    }
  }

  async #strikeNode(kind: 'stallShort' | 'stallLong' | 'killNode', node: Node, ms: number): Promise<void> {
    this.#struck.add(node)
    if (kind === 'killNode') {
      this.#ledger.died(performance.now() - this.#startedAtMs)
      await node.kill()
      await sleep(ms)
      // With Redis away a broker is refused: it is started again until it is not.
      while (!node.isRunning) await node.start()
    } else {
      node.stall()
      await sleep(ms)
      node.goOn()
    }
    this.#struck.delete(node)
  }

  async #strikeRedis(kind: 'killRedis' | 'stallRedis', ms: number): Promise<void> {
    this.#isRedisStruck = true
    if (kind === 'killRedis') {
      await this.#redis.kill()
      await sleep(ms)
      await this.#redis.restart()
    } else {
      this.#redis.pause()
      await sleep(ms)
      this.#redis.resume()
    }
    this.#isRedisStruck = false
  }

  async #move(gateway: Gateway, where: number, ms: number): Promise<void> {
    const others = this.#nodes.filter((node) => node !== gateway.node && node.isRunning)
    if (others.length === 0) return
    gateway.lead(pick(others, where))
    gateway.break()
    await sleep(ms)
  }

  async #settle(): Promise<void> {
    for (const publisher of this.#publishers) publisher.stop()
    const endMs = performance.now() + SETTLE_MS
    const isOver = () => this.#publishers.every(({ underWay }) => underWay === 0) && this.#ledger.isComplete
    while (!isOver() && performance.now() < endMs) await sleep(100)
    // What would come again comes within moments.
    await sleep(2_000)
  }
}

function pick<Item>(items: readonly Item[], which: number): Item {
  return items[Math.min(items.length - 1, Math.floor(which * items.length))] as Item
}
