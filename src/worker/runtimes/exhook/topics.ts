/**
 * Which messages a provider wants to hear of: the topic filters that it named for a hook. None: all messages; what is
 * below $SYS never. Pure; the lane's thread.
 */

export type TopicTest = (topic: string) => boolean

const SYSTEM = '$SYS/'

/** @param filters MQTT topic filters; none: every topic. */
export function compileTopics(filters: readonly string[]): TopicTest {
  if (filters.length === 0) return (topic) => !topic.startsWith(SYSTEM)
  const parsed = filters.map((filter) => filter.split('/'))
  return (topic) => {
    if (topic.startsWith(SYSTEM)) return false
    const levels = topic.split('/')
    return parsed.some((filter) => matches(filter, levels))
  }
}

/** Whether it is a filter at all: `#` stands last, and a wildcard fills its level. */
export function isTopicFilter(filter: string): boolean {
  const levels = filter.split('/')
  return (
    filter !== '' &&
    levels.every((level, at) => (level === '#' ? at === levels.length - 1 : level === '+' || !/[+#\0]/.test(level)))
  )
}

function matches(filter: readonly string[], topic: readonly string[]): boolean {
  // A topic that begins with $ is not for those who ask for everything.
  if (topic[0]?.startsWith('$') === true && (filter[0] === '+' || filter[0] === '#')) return false
  for (let at = 0; ; at += 1) {
    const [wanted, level] = [filter[at], topic[at]]
    if (wanted === '#') return true
    if (wanted === undefined || level === undefined) return wanted === level
    if (wanted !== '+' && wanted !== level) return false
  }
}
