/**
 * Which hooks a broker is asked to call: those that the engine's plugins subscribe to, and no others. Read each time that a
 * broker loads the provider. Pure.
 */
import { EXHOOK_RPCS, type ExhookVersion, type Hookpoints, HookringError } from '../../contracts/index.js'
import { isTopicFilter } from '../../contracts/mqtt-topics.js'
import type { MatchOption, PluginStatus } from '../../index.js'
import { contractVersionOf, type ExhookEngine } from './engine.js'

export interface ExhookHookSpec {
  /** `message.publish` */
  readonly name: string
  /** Topic filters; none: all topics. Brokers look at those of message.* alone. */
  readonly topics: readonly string[]
}

/**
 * Topic filters of the messages that plugins are asked about, in place of those that are read off their `match` options:
 * one list for all message hooks, or one for each (`{ 'message.publish': ['up/#'] }`). None: all topics.
 */
export type TopicsOption = readonly string[] | Readonly<Record<string, readonly string[]>>

/** What a provider of this engine answers to a broker of that version now. */
export function wantedHooks<Points extends Hookpoints>(
  engine: ExhookEngine<Points>,
  version: ExhookVersion,
  topics?: TopicsOption,
): ExhookHookSpec[] {
  const own = EXHOOK_RPCS[contractVersionOf(engine)]
  const plugins = engine.plugins
  return EXHOOK_RPCS[version].flatMap(({ hook, subject }) => {
    const hookpoint = own.find((rpc) => rpc.subject === subject)?.hookpoint
    const subscribers = plugins.filter(({ hooks }) => hooks.includes(hookpoint as string))
    if (hook === null || subscribers.length === 0) return []
    return [{ name: hook, topics: isAboutMessages(hook) ? topicsOf(hook, subscribers, topics) : [] }]
  })
}

/** @throws HookringError OPTIONS_INVALID */
export function checkTopics(topics: unknown): TopicsOption | undefined {
  if (topics === undefined) return undefined
  if (Array.isArray(topics)) return filtersIn(topics, ['topics'])
  if (typeof topics !== 'object' || topics === null) throw invalid(['topics'], 'must be a list of topic filters')
  const known = EXHOOK_RPCS[3].flatMap(({ hook }) => (hook !== null && isAboutMessages(hook) ? [hook] : []))
  return Object.fromEntries(
    Object.entries(topics).map(([hook, filters]) => {
      if (known.includes(hook)) return [hook, filtersIn(filters, ['topics', hook])]
      throw invalid(['topics', hook], `is no hook about messages; there are ${known.join(', ')}`)
    }),
  )
}

function filtersIn(filters: unknown, path: readonly string[]): string[] {
  if (!Array.isArray(filters)) throw invalid(path, 'must be a list of topic filters')
  for (const filter of filters) {
    if (typeof filter !== 'string' || !isTopicFilter(filter)) {
      throw invalid(path, `${JSON.stringify(filter)} is not an MQTT topic filter`)
    }
  }
  return [...filters]
}

function invalid(path: readonly string[], problem: string): HookringError {
  return new HookringError('OPTIONS_INVALID', `${path.join('.')}: ${problem}`, { path })
}

function isAboutMessages(hook: string): boolean {
  return hook.startsWith('message.')
}

function topicsOf(hook: string, subscribers: readonly PluginStatus[], given: TopicsOption | undefined): string[] {
  const wanted = Array.isArray(given)
    ? given
    : (given as Readonly<Record<string, readonly string[]>> | undefined)?.[hook]
  if (wanted !== undefined) return [...wanted]
  const filters = new Set<string>()
  for (const { match } of subscribers) {
    const own = filtersOf(match)
    // A plugin without a filter wants everything, whatever the others want.
    if (own === null) return []
    for (const filter of own) filters.add(filter)
  }
  return [...filters]
}

/**
 * Filters that let every message pass that the match option does, or null where it says nothing that a filter can. The
 * engine looks at the option again for each event, so a filter may let too much pass, never too little.
 */
function filtersOf(match: MatchOption | undefined): readonly string[] | null {
  if (match === undefined || typeof match === 'function') return null
  const condition = match['message.topic']
  if (typeof condition === 'string') return [condition]
  if (Array.isArray(condition)) return textsOf(condition)
  if (typeof condition !== 'object' || condition === null) return null
  const { eq, in: anyOf, mqtt } = condition
  if (typeof eq === 'string') return [eq]
  if (anyOf !== undefined) return textsOf(anyOf)
  return typeof mqtt === 'string' ? [mqtt] : (mqtt ?? null)
}

function textsOf(list: readonly unknown[]): string[] | null {
  const texts = list.filter((value) => typeof value === 'string')
  return texts.length === list.length ? texts : null
}
