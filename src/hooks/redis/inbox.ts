/**
 * What comes from other nodes on its way to the broker: in the order in which it came, a bounded number at once, and a
 * bounded number waiting. In a lane.
 */
import type { MqttPublishPacket } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'

export interface Inbox {
  /** Publishes a message. False: there is no room, and it is dropped. */
  add(packet: MqttPublishPacket): boolean
  /** Does something else when it is its turn; it is never dropped. */
  enqueue(task: () => Promise<unknown>): void
}

/** Fewer than the services that a lane may have under way. */
const AT_ONCE = 32
const MAX_WAITING = 10_000
const SAY_EVERY_MS = 5_000

export function createInbox({
  publish,
  log,
}: {
  publish: (packet: MqttPublishPacket) => Promise<unknown>
  log: PluginLogger
}): Inbox {
  const waiting: (() => Promise<unknown>)[] = []
  let underWay = 0
  let dropped = 0
  let saidAtMs = Number.NEGATIVE_INFINITY

  function drop(why: string): void {
    dropped += 1
    if (performance.now() - saidAtMs < SAY_EVERY_MS) return
    saidAtMs = performance.now()
    log.warn(`messages from other nodes were dropped: ${why}`, { dropped })
  }

  function next(): void {
    while (underWay < AT_ONCE && waiting.length > 0) {
      underWay += 1
      const task = waiting.shift() as () => Promise<unknown>
      void task()
        .catch((error: unknown) => drop(String(error)))
        .finally(() => {
          underWay -= 1
          next()
        })
    }
  }

  function push(task: () => Promise<unknown>): void {
    waiting.push(task)
    next()
  }

  return {
    add(packet) {
      if (waiting.length >= MAX_WAITING) {
        drop('they come faster than the broker takes them')
        return false
      }
      // Live messages are not retained ones: those are in Redis already.
      push(() => publish({ ...packet, retain: false }))
      return true
    },
    enqueue: push,
  }
}
