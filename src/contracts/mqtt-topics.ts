/**
 * Names and filters of MQTT topics (5.0, sections 4.7 and 4.8.2): which are valid, which topics a filter matches, and how
 * filters relate to each other. The one place that knows these rules. Pure; any thread.
 *
 * Two rules that are easily forgotten: a filter that begins with a wildcard matches no topic that begins with `$`, and a
 * last `#` matches its parent too (`a/#` matches `a`).
 */

/** A filter, parsed and valid: its levels. Of a shared subscription, those of what it shares. */
export type FilterLevels = readonly string[]

/** A shared subscription: `$share/GROUP/FILTER`. */
export interface SharedFilter {
  readonly group: string
  readonly filter: string
}

/** What fits into a string of MQTT, in bytes of UTF-8. */
const MAX_STRING_BYTES = 65_535
const BYTES_OF_A_CHARACTER = 3

/** What a message can be published to: not empty, without wildcards and NUL, not longer than 65,535 bytes. */
export function isTopicName(topic: string): boolean {
  return topic !== '' && !/[+#]/.test(topic) && isString(topic)
}

/** What can be subscribed to: wildcards fill a level each, and `#` stands last. A shared one has a group and a filter. */
export function isTopicFilter(filter: string): boolean {
  return parseFilter(filter) !== null
}

/** Null: no shared subscription, or one that lacks its group or its filter. */
export function parseShare(filter: string): SharedFilter | null {
  const [, group, shared] = /^\$share\/([^/+#]+)\/(.+)$/s.exec(filter) ?? []
  return group === undefined || shared === undefined ? null : { group, filter: shared }
}

export function isShared(filter: string): boolean {
  return filter.startsWith('$share/')
}

/** The filter's levels; null: no valid filter. */
export function parseFilter(filter: string): FilterLevels | null {
  if (!isString(filter)) return null
  const own = isShared(filter) ? parseShare(filter)?.filter : filter
  if (own === undefined || own === '') return null
  const levels = own.split('/')
  const isValid = levels.every((level, at) => (level === '#' ? at === levels.length - 1 : isLevel(level)))
  return isValid ? levels : null
}

/** How many levels a topic or a filter has. */
export function countLevels(topic: string): number {
  let count = 1
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) count += 1
  return count
}

export function hasWildcard(filter: FilterLevels): boolean {
  return filter.some(isWildcard)
}

/** Whether the filter matches the topic. */
export function matchesTopic(filter: FilterLevels, topic: string): boolean {
  return matchLevels(filter, topic)
}

/** The same for a filter that is asked about often: without a copy of the topic. Null: no valid filter. */
export function compileFilter(filter: string): ((topic: string) => boolean) | null {
  const levels = parseFilter(filter)
  return levels === null ? null : (topic) => matchLevels(levels, topic)
}

/** Whether every topic that `inner` matches is matched by `outer`. */
export function containsFilter(outer: FilterLevels, inner: FilterLevels): boolean {
  if (isWildcard(outer[0]) && isReserved(inner[0])) return false
  // `+/#` and `#` match the same topics: one level or more, and none that begins with `$`.
  const wide = isAnything(outer) ? ['#'] : outer
  for (let at = 0; ; at += 1) {
    const level = wide[at]
    if (level === '#') return true
    if (level === undefined || inner[at] === undefined) return level === inner[at]
    if (inner[at] === '#' || (level !== '+' && level !== inner[at])) return false
  }
}

/** Whether some topic is matched by both. */
export function filtersOverlap(a: FilterLevels, b: FilterLevels): boolean {
  if ((isWildcard(a[0]) && isReserved(b[0])) || (isWildcard(b[0]) && isReserved(a[0]))) return false
  for (let at = 0; ; at += 1) {
    const [left, right] = [a[at], b[at]]
    if (left === '#' || right === '#') return true
    if (left === undefined || right === undefined) return left === right
    if (left !== right && left !== '+' && right !== '+') return false
  }
}

interface Branch {
  readonly below: Map<string, Branch>
  filter: string | null
}

/** A set of valid filters that answers which of them match a topic, in time that does not grow with their number. */
export class FilterTree {
  #root: Branch = newBranch()

  add(filter: string): void {
    let at = this.#root
    for (const level of filter.split('/')) {
      const next = at.below.get(level) ?? newBranch()
      at.below.set(level, next)
      at = next
    }
    at.filter = filter
  }

  delete(filter: string): void {
    const path: [Branch, string][] = []
    let at: Branch | undefined = this.#root
    for (const level of filter.split('/')) {
      path.push([at, level])
      at = at.below.get(level)
      if (at === undefined) return
    }
    at.filter = null
    for (const [above, level] of path.reverse()) {
      const below = above.below.get(level) as Branch
      if (below.filter !== null || below.below.size > 0) return
      above.below.delete(level)
    }
  }

  clear(): void {
    this.#root = newBranch()
  }

  /** The filters that match. */
  match(topic: string): string[] {
    const found: string[] = []
    collect(this.#root, topic.split('/'), 0, found)
    return found
  }
}

function collect(at: Branch, levels: readonly string[], depth: number, found: string[]): void {
  const isHidden = depth === 0 && isReserved(levels[0])
  const rest = isHidden ? undefined : at.below.get('#')
  if (rest !== undefined && rest.filter !== null) found.push(rest.filter)
  if (depth === levels.length) {
    if (at.filter !== null) found.push(at.filter)
    return
  }
  const named = at.below.get(levels[depth] as string)
  if (named !== undefined) collect(named, levels, depth + 1, found)
  const any = isHidden ? undefined : at.below.get('+')
  if (any !== undefined) collect(any, levels, depth + 1, found)
}

function newBranch(): Branch {
  return { below: new Map(), filter: null }
}

function matchLevels(filter: FilterLevels, topic: string): boolean {
  if (topic.startsWith('$') && isWildcard(filter[0])) return false
  let at = 0
  for (const level of filter) {
    if (level === '#') return true
    // Past the end: the topic has fewer levels than the filter.
    if (at > topic.length) return false
    const slash = topic.indexOf('/', at)
    const end = slash === -1 ? topic.length : slash
    if (level !== '+' && !(end - at === level.length && topic.startsWith(level, at))) return false
    at = end + 1
  }
  return at > topic.length
}

function isLevel(level: string): boolean {
  return level === '+' || !/[+#]/.test(level)
}

function isWildcard(level: string | undefined): boolean {
  return level === '+' || level === '#'
}

function isReserved(level: string | undefined): boolean {
  return level?.startsWith('$') === true
}

function isAnything(filter: FilterLevels): boolean {
  return filter.length === 2 && filter[0] === '+' && filter[1] === '#'
}

/** A string as MQTT has it (1.5.4): no NUL, no half of a surrogate pair, not too long. */
function isString(text: string): boolean {
  if (text.includes('\0') || /\p{Surrogate}/u.test(text)) return false
  return text.length * BYTES_OF_A_CHARACTER <= MAX_STRING_BYTES || bytesOf(text) <= MAX_STRING_BYTES
}

function bytesOf(text: string): number {
  let bytes = 0
  for (const character of text) {
    const code = character.codePointAt(0) as number
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_00_00 ? 3 : 4
  }
  return bytes
}
