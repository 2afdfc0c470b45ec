/**
 * The acl plugin of mqtt@1: who may write and read which topics, by rules in order; the first that matches decides. Runs
 * in a lane.
 */
import { z } from 'zod'
import { MQTT_REASON, type MqttClientInfo, mqtt } from '../contracts/mqtt.js'
import {
  containsFilter,
  type FilterLevels,
  filtersOverlap,
  isTopicFilter,
  matchesTopic,
  parseFilter,
} from '../contracts/mqtt-topics.js'
import { definePlugin, reject, replace } from '../plugin/index.js'

const namePattern = z.string().regex(/^\*?[^*]*\*?$/, 'must have * at its ends only')

export const aclRule = z.strictObject({
  /** `*`, `*x`, `x*`, `*x*`, or exactly this; empty: any. */
  clientId: namePattern.default(''),
  /** The same; a client without a name is one with an empty name. */
  username: namePattern.default(''),
  topicFilter: z.string().refine(isTopicFilter, 'must be an MQTT topic filter'),
  read: z.boolean().default(false),
  write: z.boolean().default(false),
})
export type AclRule = z.input<typeof aclRule>

export const aclConfig = z
  .strictObject({
    rules: z.array(aclRule).default([]),
    /** What becomes of a topic that no rule matches. */
    denyByDefault: z.boolean().default(false),
  })
  .prefault({})
export type AclConfig = z.input<typeof aclConfig>

type Access = 'read' | 'write'
interface Rule extends Record<Access, boolean> {
  readonly clientId: string
  readonly username: string
  readonly filter: FilterLevels
}

export default definePlugin(mqtt, {
  name: 'acl',
  config: aclConfig,
  setup({ config }) {
    const isDefault = !config.denyByDefault
    const rules: Rule[] = config.rules.map(({ topicFilter, ...rule }) => ({
      ...rule,
      filter: parseFilter(topicFilter) as FilterLevels,
    }))

    function rulesOf(client: MqttClientInfo): Rule[] {
      const { clientId, username } = client
      return rules.filter((rule) => matchesName(rule.clientId, clientId) && matchesName(rule.username, username ?? ''))
    }

    function mayAccess(client: MqttClientInfo, topic: string, access: Access): boolean {
      return rulesOf(client).find(({ filter }) => matchesTopic(filter, topic))?.[access] ?? isDefault
    }

    function refuseWrite(client: MqttClientInfo | null, topic: string) {
      // What the broker itself publishes is nobody's to forbid.
      if (client === null || mayAccess(client, topic, 'write')) return
      return reject('not allowed to publish to this topic', MQTT_REASON.notAuthorized)
    }

    return {
      onPublish: ({ client, packet }) => refuseWrite(client, packet.topic),
      onWillPublish: ({ client, packet }) => refuseWrite(client, packet.topic),
      onSubscribe({ client, subscriptions }) {
        const own = rulesOf(client)
        const all = [...subscriptions]
        const admitted = all.filter(({ filter }) => mayReadAll(own, filter, isDefault))
        if (admitted.length === all.length) return
        if (admitted.length === 0) return reject('not allowed to subscribe', MQTT_REASON.notAuthorized)
        return replace({ client, subscriptions: admitted })
      },
      canRead({ client, packet }) {
        if (mayAccess(client, packet.topic, 'read')) return
        return reject('not allowed to read this topic', MQTT_REASON.notAuthorized)
      },
    }
  },
})

/**
 * Whether every topic that the filter matches is readable. Never true when one is not; false for some filters whose topics
 * are readable by several rules together only.
 */
function mayReadAll(rules: readonly Rule[], text: string, isDefault: boolean): boolean {
  const filter = parseFilter(text)
  if (filter === null) return false
  const readable: FilterLevels[] = []
  for (const rule of rules) {
    if (containsFilter(rule.filter, filter)) return rule.read
    if (rule.read) readable.push(rule.filter)
    else if (filtersOverlap(rule.filter, filter) && !readable.some((wide) => containsFilter(wide, rule.filter))) {
      return false
    }
  }
  return isDefault
}

function matchesName(pattern: string, name: string): boolean {
  if (pattern === '' || pattern === '*') return true
  const isOpenBefore = pattern.startsWith('*')
  const isOpenBehind = pattern.endsWith('*')
  const text = pattern.slice(isOpenBefore ? 1 : 0, isOpenBehind ? -1 : undefined)
  if (isOpenBefore && isOpenBehind) return name.includes(text)
  if (isOpenBefore) return name.endsWith(text)
  return isOpenBehind ? name.startsWith(text) : name === text
}
