/**
 * Messages that are kept for sessions: the queue of each, a stream of bounded length, and what is in flight of it. In a
 * lane.
 */
import type { MqttPublishPacket, MqttQueuedMessage } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import type { RedisConnection } from '../redis/connection.js'
import { packPacket, unpackPacket, type Wire } from '../redis/wire.js'
import type { Keys } from './keys.js'

export interface Inflight {
  readonly clientId: string
  readonly direction: 'in' | 'out'
  readonly packetId: number
  readonly id: string | null
}

export interface SessionQueue {
  /** The stream's id of it. */
  add(clientId: string, packet: MqttPublishPacket): Promise<string>
  /** A part of the queue, behind `after`; `next` null: that was all. */
  read(clientId: string, after: string): Promise<{ messages: MqttQueuedMessage[]; next: string | null }>
  /** What the last node left in flight. */
  inflight(clientId: string): Promise<{ released: number[]; received: number[]; sent: Map<string, number> }>
  track(exchange: Inflight & { state: 'sent' | 'released' | 'received' }): Promise<void>
  settle(exchange: Inflight): Promise<void>
  /** Removes everything. */
  clear(clientId: string): Promise<void>
}

/** What one answer holds; the contract has room for twice that. */
const MAX_PART_BYTES = 512 * 1024
const READ_AT_ONCE = 64
const SAY_EVERY_MS = 5_000

export function createSessionQueue(
  { commands }: Pick<RedisConnection, 'commands'>,
  options: { keys: Keys; wire: Wire; log: PluginLogger; queueMax: number; inflightTtlMs: number },
): SessionQueue {
  const { keys, wire, log, queueMax, inflightTtlMs } = options
  let overflowed = 0
  let saidAtMs = Number.NEGATIVE_INFINITY

  function noteOverflow(): void {
    overflowed += 1
    if (performance.now() - saidAtMs < SAY_EVERY_MS) return
    saidAtMs = performance.now()
    log.warn('queues of sessions are full: their oldest messages were dropped', { dropped: overflowed, queueMax })
  }

  function readEntry(clientId: string, id: string, fields: readonly Buffer[]): MqttQueuedMessage | null {
    const packet = fields[1] === undefined ? null : unpackPacket(wire.decode(fields[1]))
    if (packet === null) log.warn('a queued message in Redis cannot be read', { key: keys.queue(clientId), id })
    return packet === null ? null : { id, packetId: null, packet }
  }

  return {
    async add(clientId, packet) {
      const key = keys.queue(clientId)
      const bytes = wire.encode(packPacket(packet))
      const [length, id] = await Promise.all([
        commands.xlen(key),
        commands.xadd(key, 'MAXLEN', '=', queueMax, '*', 'm', bytes),
      ])
      if (length >= queueMax) noteOverflow()
      return id as string
    },
    async read(clientId, after) {
      const messages: MqttQueuedMessage[] = []
      let bytes = 0
      let from = after
      for (;;) {
        const entries = await commands.xrangeBuffer(
          keys.queue(clientId),
          from === '' ? '-' : `(${from}`,
          '+',
          'COUNT',
          READ_AT_ONCE,
        )
        for (const [idBytes, fields] of entries as [Buffer, Buffer[]][]) {
          const size = fields[1]?.byteLength ?? 0
          if (messages.length > 0 && bytes + size > MAX_PART_BYTES) return { messages, next: from }
          bytes += size
          from = idBytes.toString()
          const message = readEntry(clientId, from, fields)
          if (message !== null) messages.push(message)
        }
        if (entries.length < READ_AT_ONCE) return { messages, next: null }
      }
    },
    async inflight(clientId) {
      const found = { released: [] as number[], received: [] as number[], sent: new Map<string, number>() }
      for (const [field, value] of Object.entries(await commands.hgetall(keys.inflight(clientId)))) {
        const packetId = Number(field.split(':')[1])
        const [state, id = ''] = value.split(' ')
        if (!Number.isInteger(packetId) || packetId < 1 || packetId > 0xffff) continue
        if (state === 'sent' && id !== '') found.sent.set(id, packetId)
        else if (state === 'released' || state === 'received') found[state].push(packetId)
      }
      return found
    },
    async track({ clientId, direction, packetId, state, id }) {
      const key = keys.inflight(clientId)
      await Promise.all([
        commands.hset(key, `${direction}:${packetId}`, id === null ? state : `${state} ${id}`),
        commands.pexpire(key, inflightTtlMs),
        // The client has it: what is left is to release it.
        ...(state === 'released' && id !== null ? [commands.xdel(keys.queue(clientId), id)] : []),
      ])
    },
    async settle({ clientId, direction, packetId, id }) {
      await Promise.all([
        commands.hdel(keys.inflight(clientId), `${direction}:${packetId}`),
        ...(id === null ? [] : [commands.xdel(keys.queue(clientId), id)]),
      ])
    },
    async clear(clientId) {
      await Promise.all([commands.del(keys.queue(clientId)), commands.del(keys.inflight(clientId))])
    },
  }
}
