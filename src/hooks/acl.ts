/**
 * The acl plugin of mqtt@1: who may write and read which topics, by rules in order; the first that matches decides. Runs
 * in a lane.
 *
 * A subscription is granted when some of its topics may be read, and each delivery is asked about (canRead): so one rule
 * that denies a part does not cost a client all the rest. With `subscribe: 'contained'` it is granted only when all of its
 * topics may be read.
 */

import { z } from 'zod/v4'
import { MQTT_REASON, type MqttClientInfo, mqtt } from '../contracts/mqtt.js'
import {
  containsFilter,
  type FilterLevels,
  filtersOverlap,
  matchesTopic,
  parseFilter,
} from '../contracts/mqtt-topics.js'
import type { AclConfig, AclRule, Takes } from '../contracts/plugin-configs.js'
import { definePlugin, reject, replace } from '../plugin/index.js'
import { compileNamePattern, type NamePattern } from './name-pattern.js'
import { compileTopicTemplate, isTopicTemplate, type TopicTemplate } from './topic-template.js'

export type { AclConfig, AclRule }

export const aclRule = z.strictObject({
  /** `*` stands for any text, anywhere in it; `\*` is a star. Empty: any client. */
  clientId: z.string().default(''),
  /** The same; a client without a name is one with an empty name. */
  username: z.string().default(''),
  /** `%c` in it is the client's id, `%u` its user name; a client whose name would be a wildcard or a path fits no rule that grants. */
  topicFilter: z.string().refine(isTopicTemplate, 'must be an MQTT topic filter'),
  read: z.boolean().default(false),
  write: z.boolean().default(false),
})
true satisfies Takes<typeof aclRule, AclRule>

export const aclConfig = z
  .strictObject({
    rules: z.array(aclRule).default([]),
    /** What becomes of a topic that no rule matches. */
    denyByDefault: z.boolean().default(false),
    /** A subscription is granted when parts of it may be read (`overlap`), or only all of it (`contained`). */
    subscribe: z.enum(['overlap', 'contained']).default('overlap'),
  })
  .prefault({})
true satisfies Takes<typeof aclConfig, AclConfig>

type Access = 'read' | 'write'

interface Rule extends Record<Access, boolean> {
  readonly fitsClientId: NamePattern
  readonly fitsUsername: NamePattern
  readonly topics: TopicTemplate
}

/** A rule as it stands for one client. */
interface OwnRule extends Record<Access, boolean> {
  readonly filter: FilterLevels
}

class AccessList {
  readonly #rules: readonly Rule[]
  readonly #isDefault: boolean

  constructor({ rules, denyByDefault }: z.output<typeof aclConfig>) {
    this.#isDefault = !denyByDefault
    this.#rules = rules.map(({ clientId, username, topicFilter, read, write }) => ({
      fitsClientId: compileNamePattern(clientId),
      fitsUsername: compileNamePattern(username),
      topics: compileTopicTemplate(topicFilter, { grants: read || write }),
      read,
      write,
    }))
  }

  mayAccess(client: MqttClientInfo, topic: string, access: Access): boolean {
    const { clientId } = client
    const username = client.username ?? ''
    for (const rule of this.#rules) {
      if (!rule.fitsClientId(clientId) || !rule.fitsUsername(username)) continue
      const filter = rule.topics(client)
      if (filter !== null && matchesTopic(filter, topic)) return rule[access]
    }
    return this.#isDefault
  }

  /**
   * Whether every topic that the filter matches is readable. Never true when one is not; false for some filters whose topics
   * are readable by several rules together only.
   */
  mayReadAll(client: MqttClientInfo, filter: FilterLevels): boolean {
    const readable: FilterLevels[] = []
    for (const rule of this.#rulesOf(client)) {
      if (containsFilter(rule.filter, filter)) return rule.read
      if (rule.read) readable.push(rule.filter)
      else if (filtersOverlap(rule.filter, filter) && !isCovered(rule.filter, readable)) return false
    }
    return this.#isDefault
  }

  /** Whether some topic that the filter matches may be readable. Never false when one is. */
  mayReadSome(client: MqttClientInfo, filter: FilterLevels): boolean {
    const denied: FilterLevels[] = []
    for (const rule of this.#rulesOf(client)) {
      if (rule.read) {
        if (filtersOverlap(rule.filter, filter) && !isCovered(rule.filter, denied)) return true
      } else {
        if (containsFilter(rule.filter, filter)) return false
        denied.push(rule.filter)
      }
    }
    return this.#isDefault
  }

  #rulesOf(client: MqttClientInfo): OwnRule[] {
    const { clientId } = client
    const username = client.username ?? ''
    const own: OwnRule[] = []
    for (const { fitsClientId, fitsUsername, topics, read, write } of this.#rules) {
      if (!fitsClientId(clientId) || !fitsUsername(username)) continue
      const filter = topics(client)
      if (filter !== null) own.push({ filter, read, write })
    }
    return own
  }
}

export default definePlugin(mqtt, {
  name: 'acl',
  config: aclConfig,
  setup({ config }) {
    const list = new AccessList(config)
    const maySubscribe = (client: MqttClientInfo, text: string): boolean => {
      const filter = parseFilter(text)
      if (filter === null) return false
      return config.subscribe === 'contained' ? list.mayReadAll(client, filter) : list.mayReadSome(client, filter)
    }
    const refuseWrite = (client: MqttClientInfo | null, topic: string) => {
      // What the broker itself publishes is nobody's to forbid.
      if (client === null || list.mayAccess(client, topic, 'write')) return
      return reject('not allowed to publish to this topic', MQTT_REASON.notAuthorized)
    }

    return {
      onPublish: ({ client, packet }) => refuseWrite(client, packet.topic),
      onWillPublish: ({ client, packet }) => refuseWrite(client, packet.topic),
      onSubscribe({ client, subscriptions }) {
        const all = [...subscriptions]
        const admitted = all.filter(({ filter }) => maySubscribe(client, filter))
        if (admitted.length === all.length) return
        if (admitted.length === 0) return reject('not allowed to subscribe', MQTT_REASON.notAuthorized)
        return replace({ client, subscriptions: admitted })
      },
      canRead({ client, packet }) {
        if (list.mayAccess(client, packet.topic, 'read')) return
        return reject('not allowed to read this topic', MQTT_REASON.notAuthorized)
      },
    }
  },
})

function isCovered(filter: FilterLevels, wider: readonly FilterLevels[]): boolean {
  return wider.some((wide) => containsFilter(wide, filter))
}
