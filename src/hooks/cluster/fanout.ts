/**
 * Messages between nodes: each goes once to every node that has subscribers of a matching filter, on that node's channel,
 * and into the queues of sessions that no node answers for. In a lane.
 */
import { z } from 'zod'
import type { MqttPublishPacket } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'
import { LATE, within } from '../../primitives/within.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Inbox } from '../redis/inbox.js'
import { packPacket, unpackPacket, type Wire } from '../redis/wire.js'
import type { Keys } from './keys.js'
import type { SessionQueue } from './queue.js'
import type { RouteTable } from './route-table.js'

const names = z.array(z.string())
const envelope = z.discriminatedUnion('k', [
  /** A message; `f`: sessions that its sender takes to be at the receiver. */
  z.object({ k: z.literal('message'), m: z.unknown(), f: names }),
  /** Node `n` has opened the session of `c`. */
  z.object({ k: z.literal('release'), c: z.string(), n: z.string(), i: z.string() }),
  z.object({ k: z.literal('released'), i: z.string() }),
  /** Somebody has put something into the queue of `c`. */
  z.object({ k: z.literal('queued'), c: z.string() }),
  /** Lane `l` of the receiver's own broker has the channel from here on. */
  z.object({ k: z.literal('succeed'), l: z.string() }),
])
type Envelope = z.infer<typeof envelope>

export interface Fanout {
  /** Resolves when it is on its way to everybody; calls are routed in their order. */
  route(packet: MqttPublishPacket): Promise<void>
  receive(bytes: Uint8Array): void
  /** Tells all lanes that listen as this node that it is this one's turn. */
  succeed(lane: string): Promise<void>
  /** Asks a node to let go of a session; resolves when it has, or after a time. */
  takeOver(clientId: string, from: string): Promise<void>
}

export function createFanout(
  connection: RedisConnection,
  options: {
    keys: Keys
    wire: Wire
    nodeId: string
    table: RouteTable
    queue: SessionQueue
    inbox: Inbox
    log: PluginLogger
    takeoverMs: number
    isHere(clientId: string): boolean
    release(clientId: string): Promise<void>
    /** What comes is for this lane, not for another one of the same broker. */
    isOurs(): boolean
    succeededBy(lane: string): void
    /** There is something new in its queue. */
    deliver(clientId: string): Promise<void>
  },
): Fanout {
  const { keys, wire, nodeId, table, queue, inbox, log, takeoverMs, isHere, release, deliver } = options
  const { isOurs, succeededBy } = options
  const { commands } = connection
  const awaited = new Map<string, () => void>()
  let asked = 0

  /** Whether anybody got it. */
  async function send(to: string, message: Envelope): Promise<boolean> {
    return (await connection.publish(keys.fanout(to), wire.encode(message))) > 0
  }

  async function queueFor(clientId: string, packet: MqttPublishPacket): Promise<void> {
    await queue.add(clientId, packet)
    // Whoever made it his before now may have read the queue already.
    const home = await commands.hget(keys.session(clientId), 'node')
    if (home === nodeId) await deliver(clientId)
    else if (home) await send(home, { k: 'queued', c: clientId })
  }

  function say(task: string, promise: Promise<unknown>): void {
    promise.catch((error: unknown) => log.warn(`${task} failed`, { error: String(error) }))
  }

  function take(message: Exclude<Envelope, { k: 'succeed' }>): void {
    switch (message.k) {
      case 'message': {
        const packet = unpackPacket(message.m)
        if (packet === null) {
          log.warn('another node sent what is no message')
          return
        }
        const isTaken = inbox.add(packet)
        for (const clientId of message.f) {
          if (!isTaken || !isHere(clientId)) say('queueing a message', queueFor(clientId, packet))
        }
        return
      }
      case 'release':
        inbox.enqueue(async () => {
          await release(message.c)
          await send(message.n, { k: 'released', i: message.i })
        })
        return
      case 'released':
        awaited.get(message.i)?.()
        return
      case 'queued':
        inbox.enqueue(() => deliver(message.c))
    }
  }

  return {
    async route(packet) {
      await table.sync()
      // From here to the commands nothing waits: messages go out in the order in which they came.
      const { nodes, sessions } = table.match(packet.topic)
      const expected = new Map<string, string[]>()
      const queued: [clientId: string, qos: 0 | 1 | 2][] = []
      const granted = (qos: number) => Math.min(packet.qos, qos) as 0 | 1 | 2
      for (const [clientId, qos] of packet.qos === 0 ? [] : sessions) {
        const home = table.session(clientId)?.home ?? ''
        if (isHere(clientId)) continue
        if (home === '' || !nodes.has(home) || home === nodeId) queued.push([clientId, granted(qos)])
        else expected.set(home, [...(expected.get(home) ?? []), clientId])
      }
      const sent = [...nodes].map(async (node) => {
        if (node === nodeId) return
        const waiting = expected.get(node) ?? []
        if (await send(node, { k: 'message', m: packPacket(packet), f: waiting })) return
        await Promise.all(waiting.map((clientId) => queueFor(clientId, packet)))
      })
      const kept = queued.map(([clientId, qos]) => queueFor(clientId, { ...packet, qos, retain: false }))
      await Promise.all([...sent, ...kept])
    },
    receive(bytes) {
      const { success, data } = envelope.safeParse(wire.decode(bytes))
      if (!success) {
        if (isOurs()) log.warn('another node sent what is no message')
      } else if (data.k === 'succeed') {
        succeededBy(data.l)
      } else if (isOurs()) {
        take(data)
      }
    },
    async succeed(lane) {
      await send(nodeId, { k: 'succeed', l: lane })
    },
    async takeOver(clientId, from) {
      asked += 1
      const id = `${nodeId}:${asked}`
      const answer = new Promise<void>((resolve) => awaited.set(id, resolve))
      try {
        if (!(await send(from, { k: 'release', c: clientId, n: nodeId, i: id }))) return
        if ((await within(answer, takeoverMs)) === LATE)
          log.warn('a node did not let go of a session in time', { from })
      } finally {
        awaited.delete(id)
      }
    },
  }
}
