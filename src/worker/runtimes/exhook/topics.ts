/**
 * Which messages a provider wants to hear of: the topic filters that it named for a hook. None: all messages; what is
 * below $SYS never. Pure; the lane's thread.
 */
import { compileFilter } from '../../../contracts/mqtt-topics.js'

export type TopicTest = (topic: string) => boolean

const SYSTEM = '$SYS/'

/** @param filters valid topic filters; none: every topic. */
export function compileTopics(filters: readonly string[]): TopicTest {
  if (filters.length === 0) return (topic) => !topic.startsWith(SYSTEM)
  const tests = filters.map(compileFilter)
  return (topic) => !topic.startsWith(SYSTEM) && tests.some((test) => test?.(topic) === true)
}
