/**
 * Topics and filters of MQTT, as far as the adapter judges them by itself. Pure.
 */

/** What a message may be published to by a plugin: the broker's own bookkeeping topics are not among it. */
export function isTopicName(topic: string): boolean {
  return isName(topic) && !BOOKKEEPING.test(topic)
}

/** The broker acts on messages on these: nobody but brokers may write them. */
const BOOKKEEPING = /^\$SYS\/(?:[^/]+\/(?:heartbeat|birth|new\/.*|disconnect\/.*)|sub\/.*)$/

function isName(topic: string): boolean {
  return topic.length > 0 && topic.length <= 65_535 && !/[+#\0]/.test(topic) && levelsOf(topic) <= MAX_LEVELS
}

/** What Aedes' matchers take at most. */
const MAX_LEVELS = 100

export function isFilter(filter: string, maxLevels = MAX_LEVELS): boolean {
  if (filter === '') return false
  const levels = filter.split('/')
  if (levels.length > maxLevels) return false
  return levels.every(
    (level, index) => level === '+' || (level === '#' && index === levels.length - 1) || !/[+#]/.test(level),
  )
}

export function matchesFilter(filter: string, topic: string): boolean {
  const wanted = filter.split('/')
  const levels = topic.split('/')
  if (topic.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true
    if (index >= levels.length || (level !== '+' && level !== levels[index])) return false
  }
  return wanted.length === levels.length
}

function levelsOf(topic: string): number {
  let count = 1
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) count += 1
  return count
}
