/** Topics and filters as Aedes takes them, which is less than MQTT does. Pure. */
import { countLevels, isTopicFilter, isTopicName } from '../../contracts/mqtt-topics.js'

/** What Aedes' matchers take at most. */
const MAX_LEVELS = 100

/** The broker acts on messages on these: nobody but brokers may write them. */
const BOOKKEEPING = /^\$SYS\/(?:[^/]+\/(?:heartbeat|birth|new\/.*|disconnect\/.*)|sub\/.*)$/

/** What a message may be published to by a plugin: the broker's own bookkeeping topics are not among it. */
export function isPublishable(topic: string): boolean {
  return isTopicName(topic) && countLevels(topic) <= MAX_LEVELS && !BOOKKEEPING.test(topic)
}

export function isSubscribable(filter: string, maxLevels = MAX_LEVELS): boolean {
  return isTopicFilter(filter) && countLevels(filter) <= maxLevels
}
