/**
 * What comes from other nodes on its way to the broker: in the order in which it came, a bounded number at once, and a
 * bounded number waiting. In a lane.
 */
import type { MqttPublishPacket } from '../../contracts/mqtt.js'
import type { PluginLogger } from '../../plugin/index.js'

/** Fewer than the services that a lane may have under way. */
const AT_ONCE = 32
const MAX_WAITING = 10_000
const SAY_EVERY_MS = 5_000

type Task = () => Promise<unknown>

export interface InboxOptions<Packet> {
  publish(packet: Packet): Promise<unknown>
  readonly log: PluginLogger
}

export class Inbox<Packet extends MqttPublishPacket = MqttPublishPacket> {
  readonly #publish: (packet: Packet) => Promise<unknown>
  readonly #log: PluginLogger
  #waiting: Task[] = []
  /** Those before it have been taken. */
  #next = 0
  #underWay = 0
  #dropped = 0
  #saidAtMs = Number.NEGATIVE_INFINITY

  constructor({ publish, log }: InboxOptions<Packet>) {
    this.#publish = publish
    this.#log = log
  }

  /** Publishes a message. False: there is no room, and it is dropped. */
  add(packet: Packet): boolean {
    if (this.#waiting.length - this.#next >= MAX_WAITING) {
      this.#drop('they come faster than the broker takes them')
      return false
    }
    // Live messages are not retained ones: those are in Redis already.
    this.enqueue(() => this.#publish({ ...packet, retain: false }))
    return true
  }

  /** Does something else when it is its turn; it is never dropped. */
  enqueue(task: Task): void {
    this.#waiting.push(task)
    this.#work()
  }

  #work(): void {
    while (this.#underWay < AT_ONCE && this.#next < this.#waiting.length) {
      const task = this.#waiting[this.#next] as Task
      this.#next += 1
      if (this.#next >= MAX_WAITING || this.#next === this.#waiting.length) {
        this.#waiting = this.#waiting.slice(this.#next)
        this.#next = 0
      }
      this.#underWay += 1
      void this.#do(task)
    }
  }

  async #do(task: Task): Promise<void> {
    try {
      await task()
    } catch (error) {
      this.#drop(String(error))
    }
    this.#underWay -= 1
    this.#work()
  }

  #drop(why: string): void {
    this.#dropped += 1
    if (performance.now() - this.#saidAtMs < SAY_EVERY_MS) return
    this.#saidAtMs = performance.now()
    this.#log.warn(`messages from other nodes were dropped: ${why}`, { dropped: this.#dropped })
  }
}
