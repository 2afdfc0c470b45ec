/**
 * The node registry: this node's entry with its heartbeat, and the sweeping up behind nodes whose entries have expired. In
 * a lane.
 */
import { HookringError } from '../../contracts/errors.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'

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
  /** Every node that state is kept of. */
  known(): Promise<ReadonlySet<string>>
  /** A node is dead: its routes and sessions are to go. */
  bury(nodeId: string): Promise<void>
  /** The entry had gone: others may have taken this node for dead. */
  revive(): Promise<void>
  /** Another lane of this broker has taken the node over. */
  succeeded(): void
}

export interface Node {
  /** `again`: a lane of the same broker had it before. @throws HookringError NODE_ID_TAKEN */
  register(): Promise<'new' | 'again'>
  /** The nodes whose entries have not expired. */
  active(): Promise<string[]>
  start(): void
  /** A heartbeat at once. */
  beat(): Promise<void>
  /** Removes the entry, if it is still this lane's. */
  leave(): Promise<void>
  readonly isOwner: boolean
}

// Compared and changed in one step: two nodes may be at it.
const EXTEND = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0"
const REMOVE = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"
const REPLACE =
  "if redis.call('GET',KEYS[1])==ARGV[1] then redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1 end return 0"

/** In a cluster a node that may have died is watched this long: less than an engine waits for setup. */
const WATCH_MS = 8_000
/** A node is buried this long after its entry should have expired: clocks and timers differ a little. */
const GRACE_MS = 20

export function createNode({ commands, isCluster }: RedisConnection, keys: Keys, options: NodeOptions): Node {
  const { nodeId, broker, lane, heartbeatIntervalMs, nodeTtlMs, plugin, log } = options
  const key = keys.node(nodeId)
  const token = `${broker}/${lane}`
  let isOwner = false
  let timer: NodeJS.Timeout | undefined
  let hasLeft = false
  /** Nobody is buried before: every entry expires while Redis is away, and each node needs a moment to renew its own. */
  let noBurialBeforeMs = 0

  const set = () => commands.set(key, token, 'PX', nodeTtlMs, 'NX')
  const replaceTaken = async (current: string) =>
    (await commands.eval(REPLACE, 1, key, current, token, nodeTtlMs)) === 1

  function refuse(current: string): HookringError {
    const [host] = current.split('/')
    const message = `plugin ${plugin}: another broker is in the cluster as node ${JSON.stringify(nodeId)}, on host ${host}; give each its own nodeId`
    return new HookringError('NODE_ID_TAKEN', message, { plugin })
  }

  /** Whether the entry's owner is there. */
  async function isAlive(): Promise<boolean> {
    // One listener is this lane itself.
    if (!isCluster) return ((await commands.pubsub('NUMSUB', keys.fanout(nodeId)))[1] as number) > 1
    const endMs = performance.now() + WATCH_MS
    let left = await commands.pttl(key)
    while (performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const now = await commands.pttl(key)
      if (now > left) return true
      if (now < 0) return false
      left = now
    }
    return true
  }

  async function register(): Promise<'new' | 'again'> {
    for (;;) {
      if ((await set()) === 'OK') return 'new'
      const current = await commands.get(key)
      if (current === null) continue
      if (current.startsWith(`${broker}/`)) {
        if (await replaceTaken(current)) return 'again'
      } else if (await isAlive()) {
        throw refuse(current)
      } else if (await replaceTaken(current)) {
        return 'new'
      }
    }
  }

  async function renew(): Promise<void> {
    if ((await commands.eval(EXTEND, 1, key, token, nodeTtlMs)) === 1) return
    if ((await set()) === 'OK') {
      isOwner = true
      await options.revive()
      return
    }
    const current = (await commands.get(key)) ?? ''
    if (!isOwner || current === token) return
    isOwner = false
    if (!current.startsWith(`${broker}/`)) log.error('another broker has taken this node id', { nodeId, by: current })
    options.succeeded()
  }

  /** Milliseconds until the next node could expire. */
  async function sweep(): Promise<number> {
    let soonestMs = Number.POSITIVE_INFINITY
    for (const other of await options.known()) {
      if (other === nodeId) continue
      const leftMs = await commands.pttl(keys.node(other))
      if (leftMs >= 0) soonestMs = Math.min(soonestMs, leftMs)
      else if (performance.now() >= noBurialBeforeMs) await options.bury(other)
      else soonestMs = Math.min(soonestMs, noBurialBeforeMs - performance.now())
    }
    return soonestMs
  }

  async function round(): Promise<void> {
    let nextMs = heartbeatIntervalMs
    try {
      await renew()
      if (isOwner) nextMs = Math.min(nextMs, (await sweep()) + GRACE_MS)
    } catch (error) {
      // The connection says by itself that Redis is away.
      noBurialBeforeMs = performance.now() + nodeTtlMs
      log.debug('a heartbeat failed', { error: String(error) })
    }
    if (!hasLeft) timer = setTimeout(round, nextMs)
  }

  return {
    async register() {
      const came = await register()
      isOwner = true
      return came
    },
    async active() {
      const nodes = [...new Set([...(await options.known()), nodeId])]
      const isThere = await Promise.all(nodes.map((other) => commands.exists(keys.node(other))))
      return nodes.filter((_, index) => isThere[index] === 1).sort()
    },
    start() {
      timer = setTimeout(round, heartbeatIntervalMs)
    },
    beat: renew,
    async leave() {
      hasLeft = true
      clearTimeout(timer)
      if (isOwner) await commands.eval(REMOVE, 1, key, token)
      isOwner = false
    },
    get isOwner() {
      return isOwner
    },
  }
}
