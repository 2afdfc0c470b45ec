/**
 * The node registry: this node's entry with its heartbeat, and the sweeping up behind nodes whose entries have expired. In
 * a lane.
 *
 * The entry says who has the id: the broker, its lane, and the generation, a number that no other has had before. Who finds
 * another broker there has lost the id; who finds nothing looks at whether others took it for dead.
 */
import { HookringError } from '../../contracts/errors.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'
import { REMOVE_NODE, RENEW_NODE, REPLACE_NODE } from './scripts.js'

export interface NodeListener {
  /** Every node that state is kept of. */
  known(): Promise<ReadonlySet<string>>
  /** A node is dead: its routes and sessions are to go. */
  bury(nodeId: string): Promise<void>
  /** Another lane of this broker has taken the node over. */
  succeeded(): void
  /** The id is another broker's, or others took this node for dead: its clients are to go. */
  fenced(why: string): Promise<void>
  /** After fenced(): the node is one again, in a new generation. */
  rejoined(): Promise<void>
  /** The entry had gone, and nobody took the node for dead. `isForgotten`: Redis has lost its memory. */
  revived(isForgotten: boolean): Promise<void>
  /** With each heartbeat that Redis has answered. */
  beaten(): Promise<void>
}

export interface NodeOptions {
  readonly nodeId: string
  /** Names the broker, for as long as it runs: `HOST/...`. */
  readonly broker: string
  /** Names the lane. */
  readonly lane: string
  readonly heartbeatIntervalMs: number
  readonly nodeTtlMs: number
  readonly plugin: string
  readonly log: PluginLogger
  readonly listener: NodeListener
}

/** On a Redis Cluster a node that may have died is watched this long: less than an engine waits for setup. */
const WATCH_MS = 8_000
/** A node is buried this long after its entry should have expired: clocks and timers differ a little. */
const GRACE_MS = 20

export class ClusterNode {
  readonly #connection: RedisConnection
  readonly #keys: Keys
  readonly #options: NodeOptions
  readonly #key: string
  #state: 'outside' | 'member' | 'fenced' | 'succeeded' = 'outside'
  #generation = ''
  #timer: NodeJS.Timeout | undefined
  #hasLeft = false
  /** Nobody is buried before: every entry expires while Redis is away, and each node needs a moment to renew its own. */
  #noBurialBeforeMs = 0

  constructor(connection: RedisConnection, keys: Keys, options: NodeOptions) {
    this.#connection = connection
    this.#keys = keys
    this.#options = options
    this.#key = keys.node(options.nodeId)
  }

  get generation(): string {
    return this.#generation
  }

  /** The id is this lane's. */
  get isMember(): boolean {
    return this.#state === 'member'
  }

  /** `again`: a lane of the same broker had it before. @throws HookringError NODE_ID_TAKEN */
  async register(): Promise<'new' | 'again'> {
    const { commands } = this.#connection
    for (;;) {
      if (await this.#claim()) return 'new'
      const current = await commands.get(this.#key)
      if (current === null) continue
      if (this.#isOfThisBroker(current)) {
        // The generation is the broker's, not the lane's.
        this.#generation = current.slice(current.lastIndexOf('/') + 1)
        if (await this.#replace(current)) return 'again'
      } else if (await this.#isAlive()) {
        throw this.#refusal(current)
      } else {
        this.#generation = await this.#nextGeneration()
        if (await this.#replace(current)) return 'new'
      }
    }
  }

  /** The nodes whose entries have not expired, by name. */
  async active(): Promise<string[]> {
    const nodes = [...(await this.#options.listener.known())]
    const isThere = await Promise.all(nodes.map((other) => this.#connection.commands.exists(this.#keys.node(other))))
    return nodes.filter((_, index) => isThere[index] === 1).sort()
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#round(), this.#options.heartbeatIntervalMs)
  }

  /** A heartbeat at once. */
  async beat(): Promise<void> {
    const { commands } = this.#connection
    const { listener, nodeTtlMs, nodeId } = this.#options
    if (this.#state === 'fenced') return this.#rejoin()
    if ((await RENEW_NODE.run(this.#connection, [this.#key], [this.#token, nodeTtlMs])) === 1) return listener.beaten()
    const current = await commands.get(this.#key)
    if (current === this.#token) return
    if (current === null) return this.#comeBack()
    if (this.#state !== 'member') return
    if (this.#isOfThisBroker(current)) {
      this.#state = 'succeeded'
      listener.succeeded()
    } else {
      await this.#fence(`another broker is node ${JSON.stringify(nodeId)} now, on host ${current.split('/')[0]}`)
    }
  }

  /** Removes the entry, if it is still this lane's. */
  async leave(): Promise<void> {
    this.#hasLeft = true
    clearTimeout(this.#timer)
    if (this.#state === 'member') await REMOVE_NODE.run(this.#connection, [this.#key], [this.#token])
    this.#state = 'outside'
  }

  get #token(): string {
    const { broker, lane } = this.#options
    return `${broker}/${lane}/${this.#generation}`
  }

  #isOfThisBroker(token: string): boolean {
    return token.startsWith(`${this.#options.broker}/`)
  }

  async #nextGeneration(): Promise<string> {
    return String(await this.#connection.commands.incr(this.#keys.generation))
  }

  /** Takes the id in a new generation, if nobody has it. */
  async #claim(): Promise<boolean> {
    const { commands } = this.#connection
    if ((await commands.exists(this.#key)) === 1) return false
    this.#generation = await this.#nextGeneration()
    if ((await commands.set(this.#key, this.#token, 'PX', this.#options.nodeTtlMs, 'NX')) !== 'OK') return false
    this.#state = 'member'
    return true
  }

  async #replace(current: string): Promise<boolean> {
    const args = [current, this.#token, this.#options.nodeTtlMs]
    if ((await REPLACE_NODE.run(this.#connection, [this.#key], args)) !== 1) return false
    this.#state = 'member'
    return true
  }

  /** Nobody has the id. */
  async #comeBack(): Promise<void> {
    const { commands } = this.#connection
    const { listener, nodeId } = this.#options
    const [isListed, isNumbered] = await Promise.all([
      commands.sismember(this.#keys.nodeIndex, nodeId),
      commands.exists(this.#keys.generation),
    ])
    const isForgotten = isNumbered === 0
    if (this.#state === 'member' && isListed === 0 && !isForgotten) {
      return this.#fence('it stood still for so long that other nodes took it for dead')
    }
    // A lane that another one succeeded, which did not stay, or a node that was not missed: the generation goes on.
    const { nodeTtlMs } = this.#options
    if ((await commands.set(this.#key, this.#token, 'PX', nodeTtlMs, 'NX')) !== 'OK') return
    if (isForgotten) await commands.set(this.#keys.generation, this.#generation, 'NX')
    this.#state = 'member'
    await listener.revived(isForgotten)
  }

  async #fence(why: string): Promise<void> {
    this.#state = 'fenced'
    this.#options.log.error('this node is none any more: its clients are disconnected', {
      nodeId: this.#options.nodeId,
      why,
    })
    await this.#options.listener.fenced(why)
    await this.#rejoin()
  }

  async #rejoin(): Promise<void> {
    if (!(await this.#claim())) return
    try {
      await this.#options.listener.rejoined()
      this.#options.log.info('this node is one again', { generation: this.#generation })
    } catch (error) {
      this.#state = 'fenced'
      await REMOVE_NODE.run(this.#connection, [this.#key], [this.#token]).catch(() => {})
      throw error
    }
  }

  /** Whether the entry's owner is there. */
  async #isAlive(): Promise<boolean> {
    const { commands, isCluster } = this.#connection
    // One listener is this lane itself.
    if (!isCluster) return ((await commands.pubsub('NUMSUB', this.#keys.fanout(this.#options.nodeId)))[1] as number) > 1
    const endMs = performance.now() + WATCH_MS
    let left = await commands.pttl(this.#key)
    while (performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const now = await commands.pttl(this.#key)
      if (now > left) return true
      if (now < 0) return false
      left = now
    }
    return true
  }

  #refusal(current: string): HookringError {
    const { nodeId, plugin } = this.#options
    const [host] = current.split('/')
    const message = `plugin ${plugin}: another broker is in the cluster as node ${JSON.stringify(nodeId)}, on host ${host}; give each its own nodeId`
    return new HookringError('NODE_ID_TAKEN', message, { plugin })
  }

  /** Milliseconds until the next node could expire. */
  async #sweep(): Promise<number> {
    let soonestMs = Number.POSITIVE_INFINITY
    for (const other of await this.#options.listener.known()) {
      if (other === this.#options.nodeId) continue
      const leftMs = await this.#connection.commands.pttl(this.#keys.node(other))
      if (leftMs >= 0) soonestMs = Math.min(soonestMs, leftMs)
      else if (performance.now() >= this.#noBurialBeforeMs) await this.#bury(other)
      else soonestMs = Math.min(soonestMs, this.#noBurialBeforeMs - performance.now())
    }
    return soonestMs
  }

  async #bury(other: string): Promise<void> {
    const { commands } = this.#connection
    // First: by this it knows, should it come back, that it was taken for dead.
    await commands.srem(this.#keys.nodeIndex, other)
    if ((await commands.exists(this.#keys.node(other))) === 1) {
      await commands.sadd(this.#keys.nodeIndex, other)
      return
    }
    await this.#options.listener.bury(other)
  }

  async #round(): Promise<void> {
    const { heartbeatIntervalMs, nodeTtlMs, log } = this.#options
    let nextMs = heartbeatIntervalMs
    try {
      await this.beat()
      if (this.isMember) nextMs = Math.min(nextMs, (await this.#sweep()) + GRACE_MS)
    } catch (error) {
      // The connection says by itself that Redis is away.
      this.#noBurialBeforeMs = performance.now() + nodeTtlMs
      log.debug('a heartbeat failed', { error: String(error) })
    }
    if (!this.#hasLeft) this.#timer = setTimeout(() => void this.#round(), nextMs)
  }
}
