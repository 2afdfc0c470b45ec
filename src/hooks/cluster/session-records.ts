/**
 * What Redis has of sessions: their owners, leases, subscriptions and lifetimes, each changed in one step by a script. Knows
 * nothing of who is connected here. In a lane.
 */
import type { MqttClientInfo, MqttSubscription } from '../../contracts/mqtt.js'
import type { RedisConnection } from '../redis/connection.js'
import type { Keys } from './keys.js'
import type { Held } from './queue.js'
import {
  ADD_SUBSCRIPTIONS,
  BURY_SESSION,
  LEAVE_SESSION,
  OPEN_SESSION,
  REMOVE_SESSION,
  REMOVE_SUBSCRIPTIONS,
  RENEW_SESSION,
} from './scripts.js'

export type Opener = Pick<MqttClientInfo, 'clientId' | 'clean' | 'username'>

/** As it was before it was opened. */
export interface Opened {
  /** The node that had it; empty: none. */
  readonly before: string
  readonly wasKept: boolean
  readonly subscriptions: MqttSubscription[]
}

/** A session that this broker has opened, as another lane of it finds it. */
export interface Found extends Opener {
  readonly lease: string
}

const READ_AT_ONCE = 500

export interface SessionRecordsOptions {
  readonly keys: Keys
  readonly nodeId: string
  readonly sessionExpiryMs: number
  /** Of this node, as it is now. */
  generation(): string
}

export class SessionRecords {
  readonly #connection: RedisConnection
  readonly #options: SessionRecordsOptions

  constructor(connection: RedisConnection, options: SessionRecordsOptions) {
    this.#connection = connection
    this.#options = options
  }

  /** The node that has it, empty without one; null: there is no such session. */
  nodeOf(clientId: string): Promise<string | null> {
    return this.#connection.commands.hget(this.#keys.session(clientId), 'node')
  }

  /** Under a new lease: what is done under an older one changes nothing from then on. */
  async open(client: Opener, lease: string): Promise<Opened> {
    await this.#connection.commands.sadd(this.#keys.sessionIndex, client.clientId)
    const answer = await this.#write(client, lease)
    const [before, wasClean, fields] = answer as [string, string, string[]]
    return { before, wasKept: wasClean === '0', subscriptions: readSubscriptions(fields) }
  }

  /** Its client has gone. */
  async leave({ clientId, lease }: Held): Promise<void> {
    const args = [lease, this.#options.sessionExpiryMs, Date.now()]
    await LEAVE_SESSION.run(this.#connection, this.#keys.allOf(clientId), args)
  }

  /** False: it was not this lease's. */
  async remove({ clientId, lease }: Held): Promise<boolean> {
    return (await REMOVE_SESSION.run(this.#connection, this.#keys.allOf(clientId), [lease])) === 1
  }

  /** `gone`: there is no such session any more. `taken`: it is another lease's. */
  async renew({ clientId, lease }: Held): Promise<'renewed' | 'gone' | 'taken'> {
    const args = [lease, this.#options.sessionExpiryMs]
    const answer = await RENEW_SESSION.run(this.#connection, this.#keys.allOf(clientId), args)
    return answer === 1 ? 'renewed' : answer === -1 ? 'gone' : 'taken'
  }

  /** Once more, where Redis has lost its memory. */
  async writeAgain(client: Opener, lease: string): Promise<void> {
    await this.#write(client, lease)
    await this.#connection.commands.sadd(this.#keys.sessionIndex, client.clientId)
  }

  /** Of a node that is dead. True: nothing is left of it. */
  async bury(clientId: string, nodeId: string, livingGeneration: string): Promise<boolean> {
    return (await BURY_SESSION.run(this.#connection, this.#keys.allOf(clientId), [nodeId, livingGeneration])) === 1
  }

  /** False, here and below: the session is not this lease's. */
  async addSubscriptions({ clientId, lease }: Held, subscriptions: readonly MqttSubscription[]): Promise<boolean> {
    const fields = subscriptions.flatMap(({ filter, qos }) => [filter, String(qos)])
    return (await ADD_SUBSCRIPTIONS.run(this.#connection, this.#ofSubs(clientId), [lease, ...fields])) === 1
  }

  async removeSubscriptions({ clientId, lease }: Held, filters: readonly string[]): Promise<boolean> {
    return (await REMOVE_SUBSCRIPTIONS.run(this.#connection, this.#ofSubs(clientId), [lease, ...filters])) === 1
  }

  /** Sessions that have ended are looked for no more. */
  async removeFromIndex(clientId: string): Promise<void> {
    const { commands } = this.#connection
    await commands.srem(this.#keys.sessionIndex, clientId)
    // Another node may have opened it meanwhile.
    if ((await commands.exists(this.#keys.session(clientId))) === 1)
      await commands.sadd(this.#keys.sessionIndex, clientId)
  }

  /** This broker's own session, if it is. */
  async find(clientId: string): Promise<Found | null> {
    const { nodeId, generation } = this.#options
    const fields = ['owner', 'node', 'generation', 'lease', 'clean', 'username'] as const
    const values = await this.#connection.commands.hmget(this.#keys.session(clientId), ...fields)
    const [owner, node, itsGeneration, lease, clean, username] = values
    const isOurs = owner === nodeId && node === nodeId && itsGeneration === generation()
    return isOurs && lease ? { clientId, lease, clean: clean === '1', username: username ?? null } : null
  }

  async each(task: (clientId: string) => Promise<void>): Promise<void> {
    await inParts(await this.#connection.commands.smembers(this.#keys.sessionIndex), task)
  }

  get #keys(): Keys {
    return this.#options.keys
  }

  #write({ clientId, clean, username }: Opener, lease: string): Promise<unknown> {
    const { nodeId, generation, sessionExpiryMs } = this.#options
    const args = [lease, nodeId, generation(), clean ? 1 : 0, username ?? '', Date.now(), sessionExpiryMs]
    return OPEN_SESSION.run(this.#connection, this.#keys.allOf(clientId), args)
  }

  #ofSubs(clientId: string): string[] {
    return [this.#keys.session(clientId), this.#keys.subs(clientId)]
  }
}

export async function inParts<Item>(items: readonly Item[], task: (item: Item) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += READ_AT_ONCE) {
    await Promise.all(items.slice(at, at + READ_AT_ONCE).map(task))
  }
}

/** Filters and QoS by turns. */
function readSubscriptions(fields: readonly string[]): MqttSubscription[] {
  const subscriptions: MqttSubscription[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const qos = fields[at + 1]
    subscriptions.push({ filter: fields[at] as string, qos: qos === '2' ? 2 : qos === '1' ? 1 : 0 })
  }
  return subscriptions
}
